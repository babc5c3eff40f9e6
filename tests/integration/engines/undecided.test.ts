/**
 * An execution that a timer ends, and whose output takes time to make: the engine dies between the two.
 */
import { expect, test } from 'bun:test';
import { type EngineDatabase, type EngineProcess, statuses } from '../../support/engine.ts';
import { fixtureForEach } from '../../support/fixture.ts';

let database: EngineDatabase;
let engine: EngineProcess;

const start = (name: string) => fixture.engineProcess({ name });

const fixture = fixtureForEach(async () => {
  database = await fixture.database();
  engine = await start('one');
});

async function killed(): Promise<void> {
  engine.kill('SIGKILL');
  await engine.exited;
}

/** Held by the test: no execution completes before it lets go. */
const HELD = 8_242;
/** A function is evaluated beside the engine: what it gives comes later than the end it belongs to. */
const LATER = '${{ (() => 7)() }}';

test('its timer is there until its end is committed', async () => {
  const id = await engine.start(
    await engine.publish({
      steps: {
        first: { type: 'noop' },
        parked: { type: 'delay', with: { for: '1h' }, timeout: '1h' },
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
      output: LATER,
    }),
  );
  const { created } = await database.until(
    `select true, created_on::text as created from pgboss.job where data ->> 'execution_id' = $1 and data ->> 'kind' = 'step_deadline'`,
    [id],
  );
  // The one that parked the step would not need the job.
  await killed();
  // Its time is over now.
  await database.pool.query(
    'update workflow_step_executions set deadline_at = now() where workflow_execution_id = $1 and deadline_at is not null',
    [id],
  );
  await database.pool.query(
    `update pgboss.job set start_after = now() where data ->> 'execution_id' = $1 and data ->> 'kind' = 'step_deadline'`,
    [id],
  );
  const holder = await database.pool.connect();
  await holder.query('select pg_advisory_lock($1)', [HELD]);
  await holder.query(`
    create function hold_back() returns trigger language plpgsql set lock_timeout = 0 as $$
    begin
      perform pg_advisory_xact_lock(${HELD});
      return new;
    end $$;
    create trigger hold_back before update on workflow_executions
      for each row when (new.status = 'completed') execute function hold_back()`);
  engine = await start('two');
  const { id: second } = engine;
  await database.until(
    `select not exists (select from pgboss.job where data ->> 'execution_id' = $1 and data ->> 'kind' = 'step_deadline' and created_on::text = $2)`,
    [id, created],
  );
  await killed();
  // Its sessions end with it: none may commit when the test lets go.
  const left = `from pg_stat_activity where application_name like 'engine/${second}/%'`;
  await database.pool.query(`select pg_terminate_backend(pid) ${left}`);
  await database.until(`select count(*) = 0 ${left}`);
  const { rows } = await database.pool.query('select status from workflow_executions where id = $1', [id]);
  expect(rows).toEqual([{ status: 'running' }]);
  await holder.query('select pg_advisory_unlock($1)', [HELD]);
  holder.release();
  engine = await start('three');
  const end = await engine.end(id);
  expect([end.status, end.outputs]).toEqual(['completed', 7]);
  expect(statuses(end)).toEqual({ first: 'completed', parked: 'failed', both: 'skipped' });
});
