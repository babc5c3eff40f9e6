/**
 * Many engines start on an empty database at the same moment: one makes the schema, and all of them work.
 */
import { expect, test } from 'bun:test';
import { testDatabase } from '../support/database/database.ts';
import { migrationNames } from '../support/database/schema-versions.ts';
import { startTestEngine } from '../support/engine.ts';
import { assertInvariants } from '../support/invariants.ts';

const ENGINES = 8;

test('eight engines that start at once on an empty database are all ready, on one schema', async () => {
  const { url, drop } = await testDatabase();
  const engines = await Promise.all(
    Array.from({ length: ENGINES }, (_, at) =>
      startTestEngine({ url, name: `engine ${at}`, config: { EXECUTION_ENGINE_CONCURRENCY: '2' } }),
    ),
  );
  try {
    for (const engine of engines)
      while ((await engine.request('GET', '/health/ready')).status !== 200) await Bun.sleep(50);
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
    await assertInvariants(url);
  } finally {
    await Promise.all(engines.map((engine) => engine.stop()));
    await drop();
  }
}, 60_000);
