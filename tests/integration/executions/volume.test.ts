/**
 * Many steps at once: every one of them runs, and none twice. The full figures are tests/heavy/volume.test.ts.
 */
import { expect, test } from 'bun:test';
import { sized } from '../../support/core/size.ts';
import type { EngineDatabase, TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { countRuns, startSideBySide } from '../../support/volume.ts';
import { chainsSideBySide } from '../../support/wide-definition.ts';

let database: EngineDatabase;
let engine: TestEngine;

fixtureForAll(async (fixture) => {
  database = await fixture.database();
  engine = await fixture.engine();
});

test('a definition of 1,001 steps, 100 chains of 10 joined by one, completes', async () => {
  const status = await engine.run(chainsSideBySide(100, 10, 'record'));
  expect(status.status).toBe('completed');
  expect(status.progress).toMatchObject({ total: 1_001, completed: 1_001 });
  expect(await countRuns(database, [status.execution_id])).toEqual({ runs: 1_001, steps: 1_001 });
});

const SIDE_BY_SIDE = sized(3, 10);

test('executions of it side by side complete with no step run twice', async () => {
  const ids = await startSideBySide(engine, chainsSideBySide(100, 10, 'record'), SIDE_BY_SIDE);
  const ends = await Promise.all(ids.map((id) => engine.end(id)));
  expect(new Set(ends.map(({ status }) => status))).toEqual(new Set(['completed']));
  expect(await countRuns(database, ids)).toEqual({ runs: 1_001 * SIDE_BY_SIDE, steps: 1_001 * SIDE_BY_SIDE });
});

test('a fan-out of 2,000 steps into one join completes', async () => {
  const steps = Object.fromEntries(
    Array.from({ length: 2_000 }, (_, at) => [`s${at}`, { type: 'record', needs: ['root'] }]),
  );
  const status = await engine.run({
    steps: {
      root: { type: 'noop' },
      ...steps,
      join: { type: 'record', needs: Object.keys(steps), with: { value: 'joined' } },
    },
  });
  expect(status.outputs).toEqual({ join: 'joined' });
  expect(await countRuns(database, [status.execution_id])).toEqual({ runs: 2_001, steps: 2_001 });
});

test('a commit changes the row of its execution once, however many siblings end in it', async () => {
  await database.pool.query(`
    create table changes (transaction xid8);
    create function note_change() returns trigger language plpgsql as $$
    begin
      insert into changes values (pg_current_xact_id());
      return null;
    end $$;
    create trigger note_change after update on workflow_executions
      for each row execute function note_change();`);
  const siblings = Object.fromEntries(
    Array.from({ length: 200 }, (_, at) => [`s${at}`, { type: 'noop', needs: ['root'] }]),
  );
  const end = await engine.run({
    steps: { root: { type: 'noop' }, ...siblings, join: { type: 'noop', needs: Object.keys(siblings) } },
  });
  expect(end.progress).toMatchObject({ total: 202, completed: 202 });
  const { rows } = await database.pool.query(
    'select count(*)::integer as changes, count(distinct transaction)::integer as commits from changes',
  );
  expect(rows[0].changes).toBe(rows[0].commits);
  expect(rows[0].changes).toBeLessThan(101);
});
