/**
 * A claim that is lost between the commit that takes it and the handler's first line: the handler does not begin.
 *
 * A trigger plays the others: in the very transaction of the claim it hands the step on to an engine that is gone.
 */
import { expect, test } from 'bun:test';
import { stepOf } from '../../support/engine.ts';
import { fixtureForEach } from '../../support/fixture.ts';

const fixture = fixtureForEach();
const GONE = '00000000-0000-4000-8000-000000000000';

test('what was left of a parked step is not handed to an attempt that has lost the step meanwhile', async () => {
  const database = await fixture.database();
  await database.pool.query(`
    create table displaced (id uuid primary key);
    create function displace() returns trigger language plpgsql as $$
    begin
      insert into displaced values (new.id) on conflict do nothing;
      if found then
        update workflow_step_executions
           set attempt_count = attempt_count + 1, claimed_by = '${GONE}'
         where id = new.id;
      end if;
      return null;
    end $$;
    create trigger displace after update on workflow_step_executions
      for each row when (old.status = 'waiting' and new.status = 'running') execute function displace();`);
  const engine = await fixture.engine();
  const end = await engine.run({ steps: { p: { type: 'parks', with: { ms: 1 } } } });
  expect(end).toMatchObject({ status: 'completed', outputs: { p: { kept: 'state' } } });
  expect(stepOf(end, 'p').attempt_count).toBe(3);
  const runs = await database.runs(end.execution_id);
  expect(runs.map(({ attempt }) => attempt)).toEqual([1, 3]);
});
