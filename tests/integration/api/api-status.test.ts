/**
 * When what waits goes on, as the status tells it.
 */
import { expect, test } from 'bun:test';
import { type EngineDatabase, stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

let database: EngineDatabase;
let engine: TestEngine;

fixtureForAll(
  async (fixture) => {
    database = await fixture.database();
    engine = await fixture.engine();
  },
  { allFinal: false },
);

const stepIs = (id: string, key: string, status: string) =>
  database.until(
    `select bool_or(s.status = $3) from workflow_step_executions s
       join workflow_step_templates t on t.id = s.step_template_id
      where s.workflow_execution_id = $1 and t.key = $2`,
    [id, key, status],
  );

/** What a query about an execution answers, as an instant. */
async function instantOf(expression: string, id: string): Promise<string> {
  const { rows } = await database.pool.query(`select (${expression}) as at`, [id]);
  return rows[0].at.toISOString();
}

test('a delayed step goes on at the end of its delay', async () => {
  const until = '2090-01-31T08:00:00.000Z';
  const id = await engine.start(
    await engine.publish({ steps: { first: { type: 'noop' }, pause: { type: 'delay', with: { until } } } }),
  );
  await stepIs(id, 'pause', 'waiting');
  await stepIs(id, 'first', 'completed');
  const status = await engine.client.status(id);
  // The engine counts the milliseconds until then, and the commit comes a moment later.
  expect(stepOf(status, 'pause').resume_at).toStartWith('2090-01-31T08:');
  expect(stepOf(status, 'first').resume_at).toBeNull();
  expect(status.resume_at).toBeNull();

  await engine.client.cancel(id);
  const end = await engine.end(id);
  expect(stepOf(end, 'pause').resume_at).toBeNull();
});

test('a retrying step goes on with its next attempt', async () => {
  const retry = { limit: 1, delay: '1h', jitter: false };
  const id = await engine.start(
    await engine.publish({ steps: { f: { type: 'flaky', retry, timeout: '5s' } } }),
  );
  await stepIs(id, 'f', 'retrying');
  const anHourAfterItFailed = await instantOf(
    `select s.updated_at + interval '1 hour' from workflow_step_executions s where s.workflow_execution_id = $1`,
    id,
  );
  expect(stepOf(await engine.client.status(id), 'f').resume_at).toBe(anHourAfterItFailed);
  await engine.client.cancel(id);
});

test('a step with a timeout goes on when its delay is over, not when its timeout is', async () => {
  const id = await engine.start(
    await engine.publish({ steps: { pause: { type: 'delay', timeout: '2d', with: { for: '1h' } } } }),
  );
  await stepIs(id, 'pause', 'waiting');
  const anHourAfterItParked = await instantOf(
    `select s.parked_at + interval '1 hour' from workflow_step_executions s where s.workflow_execution_id = $1`,
    id,
  );
  expect(stepOf(await engine.client.status(id), 'pause').resume_at).toBe(anHourAfterItParked);
  await engine.client.cancel(id);
});

test('an execution that was put off begins at the time it was put off to', async () => {
  const template = await engine.publish({ steps: { a: { type: 'noop' } } });
  const id = await engine.start(template, { start_after: '2090-01-31T09:00:00+01:00' });
  const status = await engine.client.status(id);
  expect(status).toMatchObject({ status: 'pending', resume_at: '2090-01-31T08:00:00.000Z', steps: [] });

  await engine.client.cancel(id);
  expect(await engine.end(id)).toMatchObject({ status: 'cancelled', resume_at: null });
});
