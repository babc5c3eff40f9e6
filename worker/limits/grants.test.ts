/**
 * Grants against a real database: what counts, what stops counting by itself, and what a claim may take.
 */
import { afterAll, beforeAll, beforeEach, expect, test } from 'bun:test';
import { randomUUID } from 'node:crypto';
import { limitId, type SharedLimit } from '../../core/limits/step-limit.ts';
import { createPool, type Pool, withTransaction } from '../../db/connection/client.ts';
import { claimGrants } from '../../db/step-limit.ts';
import { OutputStore } from '../../payload/output-store.ts';
import { type TestDatabase, testDatabase } from '../../tests/support/database/database.ts';
import { type Asking, StepLimits } from './grants.ts';

let database: TestDatabase;
let pool: Pool;
let execution: string;
let stepTemplates: string[];
let key: string;

const [HERE, THERE] = [randomUUID(), randomUUID()];
const STEPS = 40;

beforeAll(async () => {
  database = await testDatabase({ migrated: true });
  pool = createPool(database.url, { max: 10, applicationName: 'test' });
  const { rows } = await pool.query(`insert into workflow_templates (name) values ('t') returning id`);
  const made = await pool.query(
    `insert into workflow_step_templates (workflow_template_id, key) select $1, 's' || n from generate_series(1, $2::integer) n
     returning id`,
    [rows[0].id, STEPS],
  );
  stepTemplates = made.rows.map(({ id }) => id);
});

beforeEach(async () => {
  key = randomUUID();
  const { rows } = await pool.query(
    `insert into workflow_executions (workflow_template_id) select id from workflow_templates returning id`,
  );
  execution = rows[0].id;
});

afterAll(async () => {
  await pool.end();
  await database.drop();
});

const limits = (owner = HERE, secrets: string[] = []) => {
  const store = new OutputStore({ maxDepth: 8, maxBytes: 1_000 }, secrets);
  return new StepLimits(pool, owner, (shown, max) => store.text(shown, max));
};

async function queuedSteps(count: number): Promise<string[]> {
  const { rows } = await pool.query(
    `insert into workflow_step_executions (workflow_execution_id, step_template_id, status)
     select $1, id, 'queued' from unnest($2::uuid[]) id returning id`,
    [execution, stepTemplates.slice(0, count)],
  );
  return rows.map(({ id }) => id);
}

function asking(stepId: string, limit: number, perMs: number | null = null): Asking {
  const shared: SharedLimit = { id: limitId(null, key, perMs), key, limit, perMs };
  return {
    stepId,
    workspaceId: null,
    concurrency: perMs === null ? shared : null,
    rate: perMs === null ? null : shared,
  };
}

async function verdicts(steps: readonly string[], limit: number, owner = HERE): Promise<string[]> {
  const answers = await limits(owner).ask(steps.map((id) => asking(id, limit)));
  return answers.map(({ verdict }) => verdict);
}

/** As the commit does it that claims the step. */
const claim = (stepId: string) =>
  withTransaction(pool, async (tx) => {
    await tx.query(`update workflow_step_executions set status = 'running' where id = $1`, [stepId]);
    await tx.query(claimGrants([stepId]));
  });

const setStatus = (stepId: string, status: string) =>
  pool.query('update workflow_step_executions set status = $2 where id = $1', [stepId, status]);

test('what was granted counts before and after it is claimed, until the step leaves running', async () => {
  const [a, b] = (await queuedSteps(2)) as [string, string];
  expect(await verdicts([a, b], 1)).toEqual(['granted', 'held']);
  expect(await verdicts([b], 1)).toEqual(['held']);
  await claim(a);
  expect(await verdicts([b], 1)).toEqual(['held']);
  await setStatus(a, 'retrying');
  expect(await verdicts([b], 1)).toEqual(['granted']);
  await setStatus(a, 'queued');
  expect(await verdicts([a], 1)).toEqual(['held']);
});

test('asking again for a granted step answers the same; another engine leaves it alone', async () => {
  const [a] = (await queuedSteps(1)) as [string];
  expect(await verdicts([a], 1)).toEqual(['granted']);
  expect(await verdicts([a], 1)).toEqual(['granted']);
  expect(await verdicts([a], 1, THERE)).toEqual(['gone']);
});

test('a grant that nobody claims for a few seconds counts no more, and cannot be claimed once it is given away', async () => {
  const [a, b] = (await queuedSteps(2)) as [string, string];
  expect(await verdicts([a], 1)).toEqual(['granted']);
  await pool.query(
    `update workflow_step_grants set granted_at = now() - interval '4 seconds' where step_execution_id = $1`,
    [a],
  );
  expect(await verdicts([b], 1, THERE)).toEqual(['granted']);
  await expect(claim(a)).rejects.toThrow('division by zero');
  await claim(b);
});

test('a claim takes its grant once: the next claim of the step needs a new one', async () => {
  const [a] = (await queuedSteps(1)) as [string];
  await verdicts([a], 1);
  await claim(a);
  await setStatus(a, 'queued');
  await expect(claim(a)).rejects.toThrow('division by zero');
  expect(await verdicts([a], 1)).toEqual(['granted']);
  await claim(a);
});

test('a step that is not queued, or not there, is gone', async () => {
  const [a] = (await queuedSteps(1)) as [string];
  await setStatus(a, 'cancelled');
  expect(await verdicts([a, randomUUID()], 1)).toEqual(['gone', 'gone']);
});

test('a claim that commits between two looks is counted, whoever waits for whom', async () => {
  const [a, b] = (await queuedSteps(2)) as [string, string];
  await verdicts([a], 1);
  // The grant is too old to count, but its claim is under way.
  await pool.query(
    `update workflow_step_grants set granted_at = now() - interval '4 seconds' where step_execution_id = $1`,
    [a],
  );
  const claiming = await pool.connect();
  await claiming.query('begin');
  await claiming.query(`update workflow_step_executions set status = 'running' where id = $1`, [a]);
  await claiming.query(claimGrants([a]));
  const { rows } = await claiming.query('select pg_backend_pid() as pid');
  const asked = verdicts([b], 1, THERE);
  for (;;) {
    // Not on the claiming connection: within a transaction it would see the same moment again and again.
    const waiting = await pool.query('select 1 from pg_stat_activity where $1 = any(pg_blocking_pids(pid))', [
      rows[0].pid,
    ]);
    if (waiting.rows.length > 0) break;
  }
  await claiming.query('commit');
  claiming.release();
  expect(await asked).toEqual(['held']);
});

test('engines that ask at the same moment never get more than there is', async () => {
  // What is granted counts for a few seconds: all must have asked by then.
  const steps = await queuedSteps(16);
  const answers = await Promise.all(
    steps.map((id, at) => limits(at % 2 === 0 ? HERE : THERE).ask([asking(id, 7)])),
  );
  expect(answers.flat().filter(({ verdict }) => verdict === 'granted')).toHaveLength(7);
});

test('starts count for the length of a window by the clock of the database, also those that were never claimed', async () => {
  const steps = await queuedSteps(6);
  const day = 86_400_000 * 10_000;
  const ask = async (ids: readonly string[]) =>
    (await limits().ask(ids.map((id) => asking(id, 4, day)))).map(({ verdict }) => verdict);
  expect(await ask(steps.slice(0, 3))).toEqual(['granted', 'granted', 'granted']);
  expect(await ask(steps.slice(3))).toEqual(['granted', 'held', 'held']);
  await pool.query(`update workflow_step_limits set starts = '[[1, 4]]' where id = $1`, [
    limitId(null, key, day),
  ]);
  expect(await ask(steps.slice(4))).toEqual(['granted', 'granted']);
});

test('a grant of a slice that is over cannot be claimed', async () => {
  const [a] = (await queuedSteps(1)) as [string];
  await limits().ask([asking(a, 1, 86_400_000)]);
  await pool.query('update workflow_step_grants set ends_at = now() where step_execution_id = $1', [a]);
  await expect(claim(a)).rejects.toThrow('division by zero');
});

test('a key is stored masked and short, whatever is in it', async () => {
  const [a] = (await queuedSteps(1)) as [string];
  const odd = `s3cret-s3cret\u0000\ud800${'x'.repeat(1_000_000)}`;
  const shared: SharedLimit = { id: limitId(null, odd, null), key: odd, limit: 1, perMs: null };
  const masked = limits(HERE, ['s3cret-s3cret']);
  await masked.ask([{ stepId: a, workspaceId: null, concurrency: shared, rate: null }]);
  const { rows } = await pool.query('select key from workflow_step_limits where id = $1', [shared.id]);
  expect(rows[0].key).toMatch(/^\*\*\*�x+… \[cut\]$/);
  expect(rows[0].key.length).toBeLessThanOrEqual(200);
});

test('housekeeping deletes what no longer counts and keeps what does', async () => {
  const [a, b] = (await queuedSteps(2)) as [string, string];
  await verdicts([a, b], 2);
  await claim(a);
  await claim(b);
  await setStatus(a, 'completed');
  await pool.query(`update workflow_step_limits set asked_at = now() - interval '1 day'`);
  await limits().forget();
  const left = await pool.query(
    'select step_execution_id as id from workflow_step_grants where step_execution_id = any($1)',
    [[a, b]],
  );
  expect(left.rows).toEqual([{ id: b }]);
  const kept = await pool.query('select 1 from workflow_step_limits where id = $1', [
    limitId(null, key, null),
  ]);
  expect(kept.rows).toHaveLength(1);
  await setStatus(b, 'completed');
  await limits().forget();
  const gone = await pool.query('select 1 from workflow_step_limits where id = $1', [
    limitId(null, key, null),
  ]);
  expect(gone.rows).toHaveLength(0);
});
