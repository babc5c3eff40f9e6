/** The log of transitions finds forbidden changes. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { createPool, type Pool } from '../db/connection/client.ts';
import { type TestDatabase, testDatabase } from '../tests/support/database/database.ts';
import { readOpenScopes } from './scopes/checks.ts';
import { TRANSITION_CHECKS, TRANSITION_LOG } from './transitions.ts';

let database: TestDatabase;
let pool: Pool;
let templateId: string;

beforeAll(async () => {
  database = await testDatabase({ migrated: true });
  pool = createPool(database.url, { max: 1, applicationName: 'test' });
  await pool.query(TRANSITION_LOG);
  templateId = await insert(`insert into workflow_templates (name, version) values ('t', 1) returning id`);
});

afterAll(async () => {
  await pool.end();
  await database.drop();
});

async function insert(text: string, ...values: unknown[]): Promise<string> {
  return (await pool.query(text, values)).rows[0].id;
}

/** An execution with one step that has gone through the statuses. */
async function playedStep(...statuses: string[]): Promise<{ execution: string; step: string }> {
  const execution = await insert(
    `insert into workflow_executions (workflow_template_id, status) values ($1, 'running') returning id`,
    templateId,
  );
  const stepTemplate = await insert(
    `insert into workflow_step_templates (workflow_template_id, key) values ($1, $2) returning id`,
    templateId,
    execution,
  );
  const step = await insert(
    `insert into workflow_step_executions (workflow_execution_id, step_template_id, status)
     values ($1, $2, $3) returning id`,
    execution,
    stepTemplate,
    statuses[0],
  );
  for (const status of statuses.slice(1))
    await pool.query('update workflow_step_executions set status = $2 where id = $1', [step, status]);
  return { execution, step };
}

/** The checks that the execution does not pass. */
async function findings(execution: string): Promise<string[]> {
  const found: string[] = [];
  for (const [check, text] of Object.entries(TRANSITION_CHECKS)) {
    const { rows } = await pool.query(text);
    if (rows.some(({ execution_id }) => execution_id === execution)) found.push(check);
  }
  return found;
}

test('a step that waits, runs, is parked, retried and completes is in order', async () => {
  const { execution } = await playedStep(
    'waiting_inputs',
    'queued',
    'running',
    'waiting',
    'queued',
    'running',
    'retrying',
    'queued',
    'running',
    'completed',
  );
  expect(await findings(execution)).toEqual([]);
});

test('a final step that changes is found', async () => {
  const { execution } = await playedStep('running', 'completed', 'running');
  expect(await findings(execution)).toContain('a final step was changed');
});

test('a final step whose output is replaced by another is found', async () => {
  const { execution, step } = await playedStep('running', 'completed');
  for (const output of [1, 2])
    await pool.query('update workflow_step_executions set outputs = $2 where id = $1', [step, output]);
  expect(await findings(execution)).toContain('a final step was changed');
});

test('a step that ends twice is found, also with the same status', async () => {
  const { execution, step } = await playedStep('running', 'failed');
  await pool.query(`update workflow_step_executions set error = 'again' where id = $1`, [step]);
  expect(await findings(execution)).toContain('a step reached its end twice');
});

test('a join that fires again is found', async () => {
  const { execution } = await playedStep('waiting_inputs', 'queued', 'waiting_inputs', 'queued');
  expect(await findings(execution)).toContain('a join fired twice');
});

test('a step that moves after its execution has ended is found, one that ends with it is not', async () => {
  const together = await playedStep('running');
  await pool.query('begin');
  await pool.query(`update workflow_executions set status = 'completed' where id = $1`, [together.execution]);
  await pool.query(`update workflow_step_executions set status = 'completed' where id = $1`, [together.step]);
  await pool.query('commit');
  expect(await findings(together.execution)).toEqual([]);
  const late = await playedStep('running');
  await pool.query(`update workflow_executions set status = 'cancelled' where id = $1`, [late.execution]);
  await pool.query(`update workflow_step_executions set status = 'completed' where id = $1`, [late.step]);
  expect(await findings(late.execution)).toEqual(['a step moved after its execution had ended']);
});

test('an execution that is final and changes is found', async () => {
  const { execution } = await playedStep('running', 'completed');
  for (const status of ['completed', 'failed'])
    await pool.query('update workflow_executions set status = $2 where id = $1', [execution, status]);
  expect(await findings(execution)).toEqual([
    'a final execution was changed',
    'an execution reached its end twice',
  ]);
});

/** A scope that has gone through the statuses, each in a run of its holder. */
async function playedScope(...statuses: [run: number, status: string][]): Promise<string> {
  const { execution, step } = await playedStep('running', 'waiting');
  const [[run, status]] = statuses as [[number, string]];
  await pool.query(
    `insert into workflow_scopes (step_execution_id, index, workflow_execution_id, run, path, status, sequence)
     values ($1, 0, $2, $3, 'each[0]', $4, 1)`,
    [step, execution, run, status],
  );
  for (const [nextRun, nextStatus] of statuses.slice(1))
    await pool.query('update workflow_scopes set run = $2, status = $3 where step_execution_id = $1', [
      step,
      nextRun,
      nextStatus,
    ]);
  return execution;
}

test('a scope that failed and is opened anew is in order', async () => {
  const execution = await playedScope([1, 'running'], [1, 'failed'], [2, 'running'], [2, 'completed']);
  expect(await findings(execution)).toEqual([]);
  expect(await readOpenScopes(pool, [execution])).toEqual([
    { execution_id: execution, holder: 'each', most: 1 },
  ]);
});

test('a scope that changes after its end, or is opened anew though it completed, is found', async () => {
  expect(await findings(await playedScope([1, 'running'], [1, 'failed'], [1, 'cancelled']))).toEqual([
    'a final scope was changed',
  ]);
  expect(await findings(await playedScope([1, 'running'], [1, 'completed'], [2, 'running']))).toEqual([
    'a completed scope was opened again',
  ]);
});
