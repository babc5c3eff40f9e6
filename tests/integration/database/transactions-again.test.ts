/**
 * Calls whose transaction is ended or loses its answer on the way are done all the same, and once.
 */
import { beforeEach, expect, test } from 'bun:test';
import { chance } from '../../../chaos/chance.ts';
import { PostgresProxy } from '../../../chaos/stage/proxy.ts';
import type { EngineDatabase, TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

let database: EngineDatabase;
let proxy: PostgresProxy;
let engine: TestEngine;
let name: string;

const DEFINITION = { steps: { a: { type: 'record' } } };

fixtureForAll(async (fixture) => {
  database = await fixture.database();
  const url = new URL(database.url);
  const port = Number(url.port);
  const listening = PostgresProxy.listen(() => port, chance(1));
  proxy = await fixture.use(listening, (made) => made.close());
  url.port = String(proxy.port);
  engine = await fixture.engine({ url: url.href, recordsUrl: database.url });
});

beforeEach(async () => {
  name = await engine.publish(DEFINITION);
});

const publish = (steps: object) => engine.request('POST', '/api/v1/templates', { name, steps });
const archive = () => engine.request('DELETE', `/api/v1/templates/${name}`);
const versions = async () =>
  (await database.pool.query('select version from workflow_templates where name = $1 order by 1', [name]))
    .rows;

/** Holds the templates until the engine waits for them in a transaction, and ends that one's session. */
async function endedInTheMiddle<T>(call: () => Promise<T>): Promise<T> {
  const client = await database.pool.connect();
  try {
    await client.query('begin; lock table workflow_templates in access exclusive mode');
    const answer = call();
    await database.until(
      `select count(pg_terminate_backend(pid)) > 0 from pg_stat_activity
        where datname = current_database() and application_name like '%/api' and wait_event_type = 'Lock'
          and xact_start < query_start`,
    );
    await client.query('rollback');
    return await answer;
  } finally {
    client.release();
  }
}

/** The next commit of the engine is done, and its answer never arrives. */
async function withoutAnswer<T>(call: () => Promise<T>): Promise<T> {
  const { eaten } = proxy.counts;
  Object.defineProperty(proxy.faults, 'eat', {
    configurable: true,
    get: () => (proxy.counts.eaten === eaten ? 1 : 0),
  });
  const answer = await call();
  expect(proxy.counts.eaten).toBe(eaten + 1);
  return answer;
}

for (const [what, disturbed] of Object.entries({
  'whose session is ended': endedInTheMiddle,
  'whose commit is not answered': withoutAnswer,
})) {
  test(`a publish ${what} makes one version`, async () => {
    const { status, body } = await disturbed(() => publish({ b: { type: 'record' } }));
    expect(status).toBeOneOf([200, 201]);
    expect(body).toMatchObject({ name, version: 2, steps: [{ key: 'b' }] });
    expect(await versions()).toEqual([{ version: 1 }, { version: 2 }]);
  });

  test(`an archiving ${what} is done`, async () => {
    expect((await disturbed(archive)).status).toBe(204);
    expect((await archive()).status).toBe(404);
  });
}
