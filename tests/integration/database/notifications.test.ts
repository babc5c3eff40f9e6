/**
 * Notifications: PostgreSQL takes a lock of the whole server for each transaction that sends one, so there are few.
 */
import { expect, test } from 'bun:test';
import type pg from 'pg';
import { TEST_BACKEND } from '../../support/database/database.ts';
import { afterBeats } from '../../support/database/heartbeats.ts';
import type { EngineDatabase, TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

const EXECUTIONS = 60;
const COMMITS = 'execution_engine_transition_duration_seconds_count';

let database: EngineDatabase;
let engine: TestEngine;
let listener: pg.Client;
const heard: string[] = [];

const fixture = fixtureForAll(async () => {
  database = await fixture.database();
  engine = await fixture.engine();
  listener = await fixture.client();
  listener.on('notification', ({ payload }) => void heard.push(payload ?? ''));
  await listener.query('listen execution_engine');
});

/** How many notifications and commits the work takes. */
async function cost(): Promise<{ notifications: number; commits: number }> {
  const template = await engine.publish({
    steps: {
      a: { type: 'record' },
      b: { type: 'record', needs: ['a'] },
      c: { type: 'record', needs: ['a'] },
      d: { type: 'record', needs: ['b', 'c'] },
    },
  });
  heard.length = 0;
  const before = await engine.metric(COMMITS);
  const ids = await Promise.all(Array.from({ length: EXECUTIONS }, () => engine.start(template)));
  for (const id of ids) expect((await engine.end(id)).status).toBe('completed');
  const commits = (await engine.metric(COMMITS)) - before;
  // What is notified of is heard in order: when this one is there, all are.
  await listener.query("select pg_notify('execution_engine', 'the end')");
  while (heard.at(-1) !== 'the end') await listener.query('select 1');
  return { notifications: heard.length - 1, commits };
}

test('an engine that is alone sends none', async () => {
  await twoHeartbeats();
  expect((await cost()).notifications).toBe(0);
});

test.skipIf(TEST_BACKEND !== 'postgres')(
  'an engine with peers sends at most one per commit, and none once they are gone',
  async () => {
    const peer = await fixture.engine({
      name: 'peer',
      config: { EXECUTION_ENGINE_ROLE: 'api' },
    });
    try {
      await twoHeartbeats();
      const { notifications, commits } = await cost();
      expect(notifications).toBeGreaterThan(0);
      expect(notifications).toBeLessThanOrEqual(commits);
    } finally {
      await peer.stop();
    }
    await twoHeartbeats();
    expect((await cost()).notifications).toBe(0);
  },
);

/** After these the engine knows who else is there: the first may have been under way. */
const twoHeartbeats = () => afterBeats(database, engine.engine.id, 2);
