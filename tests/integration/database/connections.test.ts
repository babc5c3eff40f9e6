/**
 * Connections that break in the middle of commits: nothing is lost, nothing happens twice, no slot leaks.
 */
import { expect, test } from 'bun:test';
import type { JsonObject } from '../../../core/json/json.ts';
import type { EngineDatabase, TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

const SLOTS = 16;

let database: EngineDatabase;
let engines: TestEngine[];

fixtureForAll(async (fixture) => {
  database = await fixture.database();
  const config = { EXECUTION_ENGINE_CONCURRENCY: String(SLOTS) };
  engines = [await fixture.engine({ name: 'one', config }), await fixture.engine({ name: 'two', config })];
});

/** Every kind of transition: retries, parking, skips, failures that are handled, joins. */
const MIXED: JsonObject = {
  steps: {
    a: { type: 'record' },
    f: { type: 'flaky', needs: ['a'], with: { failures: 1 }, retry: { limit: 2, delay: '10ms' } },
    p: { type: 'parks', needs: ['a'], with: { ms: 10 } },
    s: { type: 'record', needs: ['a'], when: '${{ false }}' },
    x: { type: 'flaky', needs: ['a'], with: { failures: 9, retryable: false } },
    h: { type: 'record', needs: [{ step: 'x', on: 'failure' }] },
    join: { type: 'record', needs: ['f', 'p', 's', 'h'] },
    any: { type: 'record', needs: ['f', 'p', 's', 'h'], join: 'any' },
  },
};

/** Ends one connection of the engines, any of them. */
async function breakOne(): Promise<void> {
  await database.pool.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and application_name like 'engine/%' order by random() limit 1`,
  );
}

test('executions complete although the connections of their engines are ended again and again', async () => {
  const template = await engines[0]!.publish(MIXED);
  const ids: string[] = [];
  for (let round = 0; round < 40; round += 1) {
    const keys = Array.from({ length: 3 }, (_, at) => `round-${round}-${at}`);
    const [started] = await Promise.all([
      Promise.all(keys.map((key) => engines[round % 2]!.startAtLast({ template, idempotency_key: key }))),
      breakOne(),
    ]);
    ids.push(...started);
    await breakOne();
  }
  for (const id of ids)
    await database.until('select completed_at is not null from workflow_executions where id = $1', [id]);
  const { rows } = await database.pool.query(
    'select status, count(*)::integer as count from workflow_executions group by status',
  );
  expect(rows).toEqual([{ status: 'completed', count: ids.length }]);

  // Every slot of both engines is free.
  const count = 2 * SLOTS;
  const roots = Array.from({ length: count }, (_, at) => [
    `s${at}`,
    { type: 'barrier', with: { place: 'all-slots', count } },
  ]);
  const end = await engines[0]!.run({ steps: Object.fromEntries(roots) });
  expect(end.status).toBe('completed');
});
