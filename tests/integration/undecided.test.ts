/**
 * An execution that a timer ends, and whose output takes time to make: the engine dies between the two.
 */
import { afterEach, beforeEach, expect, test } from 'bun:test';
import {
  type EngineDatabase,
  type EngineProcess,
  engineDatabase,
  startEngineProcess,
  statuses,
} from '../support/engine.ts';
import { assertInvariants } from '../support/invariants.ts';

let database: EngineDatabase;
let engine: EngineProcess;

const start = (name: string) => startEngineProcess({ url: database.url, name });

beforeEach(async () => {
  database = await engineDatabase();
  engine = await start('one');
}, 60_000);

afterEach(async () => {
  // The engine takes away a timer that was being looked at when its step ended.
  await assertInvariants(database.url);
  engine.kill('SIGTERM');
  await engine.exited;
  await database.drop();
}, 60_000);

async function killed(): Promise<void> {
  engine.kill('SIGKILL');
  await engine.exited;
}

/** About half a second of the sandbox's time. */
const SLOW =
  '${{ (() => { let sum = 0; for (let at = 0; at < 8_000_000; at += 1) sum += at; return sum })() }}';

test('its timer is there until its end is committed', async () => {
  const id = await engine.start(
    await engine.publish({
      steps: {
        first: { type: 'noop' },
        parked: { type: 'delay', with: { for: '1h' }, timeout: '3s' },
        // Dead because of the first, so that the timeout of the other ends the execution.
        both: {
          type: 'noop',
          join: { atLeast: 2 },
          needs: [
            { step: 'parked', on: 'failure' },
            { step: 'first', on: 'failure' },
          ],
        },
      },
      output: SLOW,
    }),
  );
  const { created } = await database.until(
    `select true, created_on::text as created from pgboss.job where data ->> 'execution_id' = $1 and data ->> 'kind' = 'timer'`,
    [id],
  );
  // The one that parked the step would not need the job.
  await killed();
  engine = await start('two');
  await database.until(
    `select not exists (select from pgboss.job where data ->> 'execution_id' = $1 and data ->> 'kind' = 'timer' and created_on::text = $2)`,
    [id, created],
  );
  await killed();
  const { rows } = await database.pool.query('select status from workflow_executions where id = $1', [id]);
  expect(rows).toEqual([{ status: 'running' }]);
  engine = await start('three');
  const end = await engine.end(id);
  expect([end.status, end.outputs]).toEqual(['completed', 31_999_996_000_000]);
  expect(statuses(end)).toEqual({ first: 'completed', parked: 'failed', both: 'skipped' });
}, 60_000);
