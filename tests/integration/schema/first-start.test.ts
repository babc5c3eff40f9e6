/**
 * Many engines start on an empty database at the same moment: one makes the schema, and all of them work.
 */
import { expect, test } from 'bun:test';
import { migrationNames } from '../../support/database/schema-versions.ts';
import { fixtureForEach } from '../../support/fixture.ts';
import { until } from '../../support/until.ts';

const fixture = fixtureForEach();
const ENGINES = 8;

test('eight engines that start at once on an empty database are all ready, on one schema', async () => {
  await fixture.database({ migrated: false });
  const config = { EXECUTION_ENGINE_CONCURRENCY: '2' };
  const engines = await Promise.all(
    Array.from({ length: ENGINES }, (_, at) => fixture.engine({ name: `engine ${at}`, config })),
  );
  for (const engine of engines)
    await until(async () => (await engine.request('GET', '/health/ready')).status === 200);
  const { pool } = engines[0]!.engine;
  const { rows: books } = await pool.query('select name from execution_engine_migrations order by name');
  expect(books.map(({ name }) => name)).toEqual(await migrationNames());
  const { rows: queues } = await pool.query('select name from pgboss.queue order by name');
  expect(queues.map(({ name }) => name)).toEqual([
    'MergeExecutionQueue',
    'StepExecutionQueue',
    'WorkflowExecutionQueue',
  ]);
  const ends = await Promise.all(
    engines.map((engine) =>
      engine.run({ steps: { a: { type: 'noop' }, b: { type: 'noop', needs: ['a'] } } }),
    ),
  );
  expect(new Set(ends.map(({ status }) => status))).toEqual(new Set(['completed']));
});
