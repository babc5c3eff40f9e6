/**
 * Two engines after the same tickets: the one that has the steps in memory claims them while the other fetches
 * their jobs from the queue.
 */
import { expect, test } from 'bun:test';
import { sized } from '../../support/core/size.ts';
import type { EngineDatabase, EngineProcess } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { countRuns } from '../../support/volume.ts';

let database: EngineDatabase;
let engines: EngineProcess[];

fixtureForAll(async (fixture) => {
  database = await fixture.database();
  const config = { EXECUTION_ENGINE_CONCURRENCY: '20' };
  engines = await Promise.all(['one', 'two'].map((name) => fixture.engineProcess({ name, config })));
});

test('wide executions are shared without a deadlock, and every step runs once', async () => {
  const width = sized(300, 600);
  const roots = Object.fromEntries(Array.from({ length: width }, (_, at) => [`s${at}`, { type: 'record' }]));
  const [one] = engines;
  const template = await one!.publish({
    steps: { ...roots, join: { type: 'record', needs: Object.keys(roots) } },
  });
  const ids = await Promise.all(Array.from({ length: 4 }, (_, at) => engines[at % 2]!.start(template)));
  for (const id of ids) expect((await one!.end(id)).status).toBe('completed');
  expect(await countRuns(database, ids)).toEqual({ runs: 4 * (width + 1), steps: 4 * (width + 1) });
  const { rows } = await database.pool.query(
    'select deadlocks::integer from pg_stat_database where datname = current_database()',
  );
  expect(rows).toEqual([{ deadlocks: 0 }]);
});
