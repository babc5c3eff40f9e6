/**
 * A statement of an engine that is dead already: its session goes on with it, after others have taken its steps over.
 */
import { expect, test } from 'bun:test';
import { stepOf } from '../../support/engine.ts';
import { fixtureForEach } from '../../support/fixture.ts';

const fixture = fixtureForEach();

/** Held by the test: what the dead engine still has to say waits for it, before it has locked anything. */
const HELD = 8_241;

test('what a dead engine had sent is refused when its session goes on after the takeover', async () => {
  const database = await fixture.database();
  const dead = await fixture.engineProcess({ name: 'dead' });
  const template = await dead.publish({
    steps: {
      g: { type: 'gate', with: { name: 'late', value: '${{ execution.id }}' } },
      after: { type: 'record', needs: ['g'] },
    },
  });
  const id = await dead.start(template);
  await database.until('select count(*) = 1 from test_runs where execution_id = $1', [id]);

  const heir = await fixture.engine({ name: 'heir' });
  const holder = await database.pool.connect();
  await holder.query('select pg_advisory_lock($1)', [HELD]);
  await holder.query(`
    create function hold_back() returns trigger language plpgsql set lock_timeout = 0 as $$
    begin
      if current_setting('application_name') like 'engine/${dead.id}/%' then
        perform pg_advisory_xact_lock(${HELD});
      end if;
      return null;
    end $$`);
  for (const table of ['workflow_executions', 'workflow_step_executions', 'workflow_input_tracker'])
    await holder.query(
      `create trigger hold_back before insert or update on ${table} for each statement execute function hold_back()`,
    );
  await database.openGate('late');
  const isWaiting = `select count(*) >= 1 from pg_locks where locktype = 'advisory' and objid = ${HELD} and not granted`;
  await database.until(isWaiting);
  dead.kill('SIGKILL');
  await dead.exited;

  const end = await heir.end(id);
  expect(end.status).toBe('completed');
  expect(stepOf(end, 'g').attempt_count).toBe(2);

  await holder.query('select pg_advisory_unlock($1)', [HELD]);
  holder.release();
  await database.until(
    `select count(*) = 0 from pg_stat_activity where application_name like 'engine/${dead.id}/%'`,
  );
  expect(await heir.end(id)).toEqual(end);
  expect((await database.runs(id)).map(({ engine, step, attempt }) => [engine, step, attempt])).toEqual([
    ['dead', 'g', 1],
    ['heir', 'g', 2],
    ['heir', 'after', 1],
  ]);
});
