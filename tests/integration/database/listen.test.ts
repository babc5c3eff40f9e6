/**
 * A listener whose connection fell silent, and nobody is told: a notification is a hint, and what it would have said
 * is found without it.
 */
import { expect, setDefaultTimeout, test } from 'bun:test';
import { TEST_BACKEND } from '../../support/database/database.ts';
import type { EngineDatabase, TestEngine } from '../../support/engine.ts';
import { type PoolProxy, proxyByUse } from '../../support/faults/pool-proxy.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { assertInvariants } from '../../support/invariants.ts';
import { until } from '../../support/until.ts';

/** Shorter than the longest wait: one that is not answered by the end of its execution fails its test. */
setDefaultTimeout(50_000);

let database: EngineDatabase;
let proxy: PoolProxy;
let engines: TestEngine[] = [];

const fixture = fixtureForAll(async () => {
  database = await fixture.database();
  proxy = await fixture.use(proxyByUse(database.url), (made) => made.close());
});

type Role = 'all' | 'api';

/** Two engines, each other's peers. One of them hears no notification any more; all else that it asks is answered. */
async function deafAndPeer(roles: { deaf: Role; peer: Role }): Promise<readonly [TestEngine, TestEngine]> {
  proxy.heal();
  const start = async (name: 'deaf' | 'peer', url: string) => {
    const config = { EXECUTION_ENGINE_ROLE: roles[name] };
    const engine = await fixture.engine({ url, recordsUrl: database.url, name, config });
    engines.push(engine);
    return engine;
  };
  const deaf = await start('deaf', proxy.url);
  const peer = await start('peer', database.url);
  const { rows } = await database.pool.query(
    'select count(*)::integer as count from pg_stat_activity where application_name = $1',
    [`engine/${deaf.engine.id}/listen`],
  );
  expect(rows).toEqual([{ count: 1 }]);
  proxy.silence('listen');
  return [deaf, peer];
}

async function stopAll(): Promise<void> {
  await Promise.all(engines.map((engine) => engine.stop()));
  engines = [];
}

// In portable mode nobody listens.
const withListeners = test.skipIf(TEST_BACKEND !== 'postgres');

withListeners('an engine that hears of no start begins what is started in SQL, and on its peer', async () => {
  const [deaf, peer] = await deafAndPeer({ deaf: 'all', peer: 'api' });
  try {
    const template = await peer.publish({
      steps: { a: { type: 'record' }, b: { type: 'record', needs: ['a'] } },
    });
    const { rows } = await database.pool.query('select workflow_start($1) as id', [template]);
    const inSql: string = rows[0].id;
    expect((await peer.end(inSql)).status).toBe('completed');
    const onPeer = await peer.start(template);
    expect((await deaf.end(onPeer)).status).toBe('completed');
    for (const id of [inSql, onPeer]) {
      const ran = (await database.runs(id)).map(({ engine, step }) => `${step} on ${engine}`);
      expect(ran).toEqual(['a on deaf', 'b on deaf']);
    }
    await assertInvariants(database.url);
  } finally {
    await stopAll();
  }
});

withListeners('an engine that hears of no end ends the handlers of what its peer cancelled', async () => {
  const [deaf, peer] = await deafAndPeer({ deaf: 'all', peer: 'api' });
  try {
    const id = await peer.start(await peer.publish({ steps: { a: { type: 'until-aborted' } } }));
    await database.until('select true from test_runs where execution_id = $1', [id]);
    const waiting = waitAt(deaf, id);
    await hasLooked(deaf);
    await peer.client.cancel(id);
    expect(await waiting).toBe('cancelled');
    await database.until('select true from test_runs where execution_id = $1 and note is not null', [id]);
    await assertInvariants(database.url);
  } finally {
    await stopAll();
  }
});

withListeners(
  'a wait at an engine that hears of no end is answered when the execution ends on its peer',
  async () => {
    const [deaf, peer] = await deafAndPeer({ deaf: 'api', peer: 'all' });
    try {
      const gated = await deaf.publish({ steps: { a: { type: 'gate', with: { name: 'unheard' } } } });
      const ids = [await deaf.start(gated), await peer.start(gated)];
      await database.until('select count(*) = 2 from test_runs where execution_id = any($1::uuid[])', [ids]);
      const waits = ids.map((id) => waitAt(deaf, id));
      await database.openGate('unheard');
      expect(await Promise.all(waits)).toEqual(['completed', 'completed']);
      for (const id of ids) expect((await database.runs(id)).map(({ engine }) => engine)).toEqual(['peer']);
      await assertInvariants(database.url);
    } finally {
      await stopAll();
    }
  },
);

/** Asked of the service itself: the wait has begun when the call returns. Returns the status. */
function waitAt({ engine }: TestEngine, id: string): Promise<string> {
  const anybody = { workspaceId: null, admin: false };
  const options = { includeOutputs: false, waitMs: 60_000 };
  return engine.executions.status(anybody, id, options).then(({ status }) => status);
}

/** What waits there has found its execution running when no connection is in use. */
async function hasLooked({ engine: { pool } }: TestEngine): Promise<void> {
  await until(() => pool.waitingCount === 0 && pool.idleCount === pool.totalCount);
}
