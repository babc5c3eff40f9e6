/** The search for steps of dead engines, in a database whose engines are rows only. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'bun:test';
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { registerEngine } from '../db/engine.ts';
import { BY_LEASE } from '../db/engine-alive.ts';
import { type TestDatabase, testDatabase } from '../tests/support/database/database.ts';
import { writeEngine, writeStepOf } from '../tests/support/database/judging-engine.ts';
import { until } from '../tests/support/until.ts';
import { Rescues } from './rescues.ts';

/** In the ring it is followed by its peer, and every dead engine comes after that one. */
const SELF = '00000000-0000-4000-8000-000000000000';
const PEER = '00000000-0000-4000-8000-000000000001';
const KILLED = '3 seconds';

let database: TestDatabase;
/** One session. */
let client: pg.Pool;
let rescues: Rescues;
let peers: string[];
let rescued: string[];
/** Answers of the database come when it is settled. */
let answers: Promise<void>;
/** Called for each rescue; the rescue lasts until the promise is settled. */
let rescue: (owner: string) => Promise<void>;

beforeAll(async () => {
  database = await testDatabase({ migrated: true });
  client = new pg.Pool({ connectionString: database.url, max: 1, idleTimeoutMillis: 0 });
  // The database may be dropped before the session has ended.
  client.on('error', () => {});
});

afterAll(async () => {
  await client.end();
  await database.drop();
});

beforeEach(async () => {
  await client.query('delete from execution_engines');
  await client.query('truncate workflow_templates cascade');
  const row = { id: SELF, role: 'all', host: 'here', pid: 1, version: '0', capacity: 1, stepTypes: [] };
  await registerEngine(client, row);
  await client.query("update execution_engines set heard_since = now() - interval '1 minute'");
  peers = [];
  rescued = [];
  rescue = async () => {};
  answers = Promise.resolve();
  const query = async (...asked: [string, unknown[]]) => {
    const result = await client.query(...asked);
    await answers;
    return result;
  };
  rescues = new Rescues({
    db: { query: query as pg.Pool['query'] },
    engineId: SELF,
    signs: BY_LEASE,
    peers: () => peers,
    onOrphans: () => {},
    unreadable: () => [],
    rescue: async ({ owner }) => {
      rescued.push(owner);
      await rescue(owner);
      await client.query(`update workflow_step_executions set status = 'queued' where claimed_by = $1`, [
        owner,
      ]);
    },
    releaseUnknown: async () => {},
    onError: (error) => {
      throw error;
    },
  });
});

afterEach(async () => {
  await rescues.takeOver();
  await rescues.close();
});

async function killedEngine(): Promise<string> {
  const id = await writeEngine(client, KILLED, true);
  await writeStepOf(client, id);
  return id;
}

test('an engine that dies while the steps of another one are being rescued is found at once', async () => {
  const locked = Promise.withResolvers<void>();
  const first = await killedEngine();
  rescue = (owner) => (owner === first ? locked.promise : Promise.resolve());
  await rescues.search();
  expect(rescued).toEqual([first]);
  const second = await killedEngine();
  await rescues.search();
  expect(rescued).toEqual([first, second]);
  locked.resolve();
});

test('steps that are the turn of another engine are rescued when they are still there a while later', async () => {
  peers = [PEER];
  const { promise, resolve } = Promise.withResolvers<void>();
  rescue = async () => resolve();
  const killed = await killedEngine();
  await rescues.search();
  expect(rescued).toEqual([]);
  await promise;
  expect(rescued).toEqual([killed]);
});

test('a takeover waits for no turn, and for the end of every rescue', async () => {
  peers = [PEER];
  const killed = await killedEngine();
  const begun = Promise.withResolvers<void>();
  const locked = Promise.withResolvers<void>();
  rescue = () => {
    begun.resolve();
    return locked.promise;
  };
  let isOver = false;
  const takeover = rescues.takeOver().then(() => {
    isOver = true;
  });
  await begun.promise;
  expect([rescued, isOver]).toEqual([[killed], false]);
  locked.resolve();
  await takeover;
});

test('a search that is asked for during another one begins after it', async () => {
  const answered = Promise.withResolvers<void>();
  answers = answered.promise;
  const first = rescues.search();
  const killed = await killedEngine();
  const second = rescues.search();
  answered.resolve();
  await Promise.all([first, second]);
  expect(rescued).toEqual([killed]);
});

test('steps of an engine that is not on the list are looked for until none is found, and then only now and then', async () => {
  await client.query('update execution_engines set settled_at = now()');
  const [first, second, third] = [randomUUID(), randomUUID(), randomUUID()];
  await writeStepOf(client, first);
  await rescues.search();
  await writeStepOf(client, second);
  await rescues.search();
  expect(rescued).toEqual([first, second]);
  // The database takes its time: there is much to look through.
  const { promise, resolve } = Promise.withResolvers<void>();
  answers = promise;
  const answerAt = performance.now() + 100;
  until(async () => performance.now() > answerAt).then(resolve);
  await rescues.search();
  await writeStepOf(client, third);
  await rescues.search();
  expect(rescued).toEqual([first, second]);
  await rescues.takeOver();
  expect(rescued).toEqual([first, second, third]);
});
