/**
 * Somebody holds the lock of one execution and does not let go, as a frozen engine would: the others go on.
 */
import { expect, test } from 'bun:test';
import type { EngineDatabase, EngineProcess } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

let database: EngineDatabase;
let survivor: EngineProcess;

const fixture = fixtureForAll(async () => {
  database = await fixture.database();
  survivor = await fixture.engineProcess({ name: 'survivor' });
});

/** Returns what lets go of it. */
async function lock(executionId: string): Promise<() => Promise<void>> {
  const client = await database.pool.connect();
  await client.query('begin');
  await client.query('select from workflow_executions where id = $1 for no key update', [executionId]);
  return async () => {
    await client.query('rollback');
    client.release();
  };
}

test('steps and timers of a killed engine are taken over, but for those of an execution that is locked', async () => {
  const killed = await fixture.engineProcess({ name: 'killed' });
  const template = await killed.publish({
    steps: {
      g: { type: 'gate', with: { name: 'open' } },
      d: { type: 'delay', with: { for: '2s' } },
      join: { type: 'record', needs: ['g', 'd'] },
    },
  });
  survivor.kill('SIGSTOP');
  const locked = await killed.start(template);
  const free = await killed.start(template);
  await database.until(
    `select count(*) = 2 from test_runs where engine = 'killed' and execution_id = any($1)`,
    [[locked, free]],
  );
  const letGo = await lock(locked);
  killed.kill('SIGKILL');
  await killed.exited;
  survivor.kill('SIGCONT');
  await database.openGate('open');
  expect((await survivor.end(free)).status).toBe('completed');
  const { rows } = await database.pool.query('select status from workflow_executions where id = $1', [
    locked,
  ]);
  expect(rows).toEqual([{ status: 'running' }]);
  await letGo();
  expect((await survivor.end(locked)).status).toBe('completed');
});

test('the steps of an engine are taken over while those of another one that died before are locked', async () => {
  const template = await survivor.publish({ steps: { g: { type: 'gate', with: { name: 'both' } } } });
  const runningAt = async (engine: EngineProcess, name: string) => {
    const id = await engine.start(template);
    await database.until('select engine = $2 from test_runs where execution_id = $1', [id, name]);
    return id;
  };
  const first = await fixture.engineProcess({ name: 'first' });
  const second = await fixture.engineProcess({ name: 'second' });
  const locked = await runningAt(first, 'first');
  const free = await runningAt(second, 'second');
  const letGo = await lock(locked);
  first.kill('SIGKILL');
  await first.exited;
  await database.until(
    `select count(*) > 0 from pg_stat_activity
      where wait_event_type = 'Lock' and state = 'active' and application_name like 'engine/' || $1 || '/%'`,
    [survivor.id],
  );
  second.kill('SIGKILL');
  await second.exited;
  await database.openGate('both');
  expect((await survivor.end(free)).status).toBe('completed');
  await letGo();
  expect((await survivor.end(locked)).status).toBe('completed');
});

test('an execution that was put off begins while another one that is due is locked', async () => {
  const template = await survivor.publish({ steps: { a: { type: 'record' } } });
  const locked = await survivor.start(template, { start_after: '1s' });
  const free = await survivor.start(template, { start_after: '1s' });
  const letGo = await lock(locked);
  expect((await survivor.end(free)).status).toBe('completed');
  await letGo();
  expect((await survivor.end(locked)).status).toBe('completed');
});
