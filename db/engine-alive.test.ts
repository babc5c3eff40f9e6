import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { type TestDatabase, testDatabase } from '../tests/support/database/database.ts';
import {
  JudgingEngine,
  NO_JOBS,
  writeEngine,
  writeStepOf,
} from '../tests/support/database/judging-engine.ts';
import { holdLease, leaseIsFree } from './connection/lease.ts';
import { pulse } from './engine.ts';
import { BY_HEARTBEAT, BY_LEASE, engineIsAlive, signsOfLife } from './engine-alive.ts';

let database: TestDatabase;
let client: pg.Client;

beforeAll(async () => {
  database = await testDatabase({ migrated: true });
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
});

afterAll(async () => {
  await client.end();
  await database.drop();
});

const engine = (silence: string, hasLease: boolean) => writeEngine(client, silence, hasLease);

async function silentFor(id: string, silence: string): Promise<void> {
  await client.query('update execution_engines set heartbeat_at = now() - $2::interval where id = $1', [
    id,
    silence,
  ]);
}

async function isAlive(id: string): Promise<boolean> {
  const { rows } = await client.query(
    `select ${engineIsAlive('e')} as alive from execution_engines e where id = $1`,
    [id],
  );
  return rows[0].alive;
}

const fail = (error: unknown) => {
  throw error;
};

/** Within a transaction it is the same moment throughout. */
async function atOneMoment(work: () => Promise<void>): Promise<void> {
  await client.query('begin');
  try {
    await work();
  } finally {
    await client.query('rollback');
  }
}

describe('an engine is alive', () => {
  test('while its heart beats, lease or not', () =>
    atOneMoment(async () => {
      expect(await isAlive(await engine('1 second', false))).toBe(true);
      expect(await isAlive(await engine('1 second', true))).toBe(true);
    }));

  test('while it holds its lease and is late, and until it has been silent for 8 seconds', async () => {
    const late = await engine('3 seconds', true);
    const silent = await engine('9 seconds', true);
    const leases = [holdLease(database.url, late, fail), holdLease(database.url, silent, fail)];
    await Promise.all(leases.map(({ ready }) => ready));
    await atOneMoment(async () => {
      await silentFor(late, '3 seconds');
      expect(await isAlive(late)).toBe(true);
      expect(await isAlive(silent)).toBe(false);
    });
    await Promise.all(leases.map((lease) => lease.close()));
  });

  test('without a lease of its own until it has been silent for 8 seconds', () =>
    atOneMoment(async () => {
      expect(await isAlive(await engine('3 seconds', false))).toBe(true);
      expect(await isAlive(await engine('9 seconds', false))).toBe(false);
    }));
});

test('an engine whose lease is free is dead as soon as a heartbeat is missing', async () => {
  const id = await engine('3 seconds', true);
  expect(await isAlive(id)).toBe(false);
  const lease = holdLease(database.url, id, fail);
  await lease.ready;
  await silentFor(id, '3 seconds');
  expect(await isAlive(id)).toBe(true);
  const freed = leaseIsFree(database.url, id, { applicationName: 'watch' }, new AbortController().signal);
  await lease.close();
  await freed;
  expect(await isAlive(id)).toBe(false);
});

test('a lease whose session is ended is taken again', async () => {
  const id = await engine('3 seconds', true);
  const errors: unknown[] = [];
  const lease = holdLease(database.url, id, (error) => errors.push(error));
  await lease.ready;
  const name = `engine/${id}/lease`;
  const before = await client.query('select pid from pg_stat_activity where application_name = $1', [name]);
  await client.query('select pg_terminate_backend($1)', [before.rows[0].pid]);
  let pid: unknown;
  while (pid === undefined || pid === before.rows[0].pid) {
    const { rows } = await client.query(
      `select l.pid from pg_locks l join pg_stat_activity a using (pid)
        where a.application_name = $1 and l.locktype = 'advisory' and l.granted`,
      [name],
    );
    pid = rows[0]?.pid;
  }
  await silentFor(id, '3 seconds');
  expect(await isAlive(id)).toBe(true);
  expect(errors).toHaveLength(1);
  await lease.close();
});

test('who waits for a lease can give up', async () => {
  const id = await engine('0 seconds', true);
  const lease = holdLease(database.url, id, fail);
  await lease.ready;
  const giveUp = new AbortController();
  const waiting = leaseIsFree(database.url, id, { applicationName: `watch/${id}` }, giveUp.signal);
  while (
    (
      await client.query(
        `select 1 from pg_stat_activity where application_name = $1 and wait_event_type = 'Lock'`,
        [`watch/${id}`],
      )
    ).rows.length === 0
  );
  giveUp.abort(new Error('enough'));
  expect(waiting).rejects.toThrow('enough');
  await waiting.catch(() => {});
  await lease.close();
});

const [KILLED, SILENT] = ['3 seconds', '9 seconds'] as const;
const OF_POOLER = signsOfLife(true, false);
const SIGNS = { 'with leases': BY_LEASE, 'behind a pooler': OF_POOLER, portable: BY_HEARTBEAT };

describe('a silence that an engine did not share', () => {
  test('tells at once: of one whose lease is free after a heartbeat, of any other after 8 seconds', async () => {
    const observer = await JudgingEngine.settled(database.url);
    const [killed, silent, late] = [
      await engine(KILLED, true),
      await engine(SILENT, false),
      await engine(KILLED, false),
    ];
    expect(await observer.heart(killed, silent, late)).toEqual([true, true, false]);
    await observer.end();
  });

  test('tells also when it was away before: of an engine that it has heard since', async () => {
    const observer = await JudgingEngine.settled(database.url);
    await observer.reconnect();
    await observer.heart();
    const before = await engine(KILLED, true);
    expect(await observer.heart(before)).toEqual([false]);
    await client.query(
      "update execution_engines set heard_since = now() - interval '4 seconds' where id = $1",
      [observer.id],
    );
    expect(await observer.heart(before)).toEqual([true]);
    await observer.end();
  });
});

describe.each(Object.entries(SIGNS))('%s: a silence that an engine shared', (_, signs) => {
  test('tells nothing until the others have had the time to come back too', async () => {
    const observer = await JudgingEngine.settled(database.url, signs);
    const [killed, silent] = [await engine(KILLED, true), await engine(SILENT, true)];
    await observer.isSilent(SILENT);
    expect(await observer.heart(killed, silent)).toEqual([false, false]);
    expect(await observer.heart(killed, silent)).toEqual([false, false]);
    expect(await observer.later(silent)).toEqual([true]);
    await observer.end();
  });

  test('takes no step from them before the next heartbeat either, nor from an engine that is not on the list', async () => {
    const observer = await JudgingEngine.settled(database.url, signs);
    const [silent, unknown] = [await engine(SILENT, true), randomUUID()];
    for (const owner of [silent, unknown]) await writeStepOf(client, owner);
    const taken = async () => {
      const owners = await observer.takesFrom();
      return [silent, unknown].map((owner) => owners.includes(owner));
    };
    await observer.isSilent(SILENT);
    expect(await taken()).toEqual([false, false]);
    await observer.heart();
    expect(await taken()).toEqual([false, false]);
    await observer.later();
    expect(await taken()).toEqual([true, true]);
    await observer.end();
  });

  test('tells nothing of one that has come back', async () => {
    const observer = await JudgingEngine.settled(database.url, signs);
    const other = await engine(SILENT, true);
    await observer.isSilent(SILENT);
    expect(await observer.heart(other)).toEqual([false]);
    await silentFor(other, '0 seconds');
    expect(await observer.later(other)).toEqual([false]);
    await observer.end();
  });
});

test('who was cut off from the database judges nobody until the others have had the time to come back too', async () => {
  const observer = await JudgingEngine.settled(database.url);
  const killed = await engine(KILLED, true);
  await observer.reconnect();
  expect(await observer.heart(killed)).toEqual([false]);
  expect(await observer.later(killed)).toEqual([true]);
  await observer.end();
});

test('the others get as long to come back as the database heard of nobody, and two to five seconds', async () => {
  await engine('0 seconds', true);
  const time = async (silence: string) => {
    await client.query('update execution_engines set heartbeat_at = now() - $1::interval', [silence]);
    const observer = await JudgingEngine.begin(database.url);
    const { rows } = await client.query(
      'select extract(epoch from settled_at - heard_since)::float8 as seconds from execution_engines where id = $1',
      [observer.id],
    );
    await observer.end();
    return rows[0].seconds;
  };
  expect(await time('-1 hour')).toBe(2);
  expect(await time('1 hour')).toBe(5);
  const between = await time('3 seconds');
  expect(between).toBeGreaterThanOrEqual(3);
  expect(between).toBeLessThanOrEqual(5);
});

describe('an engine that has only just begun', () => {
  beforeEach(() => client.query('delete from execution_engines'));

  test('judges by a lease that is free, and by no other silence', async () => {
    const [killed, withoutLease] = [await engine(KILLED, true), await engine(SILENT, false)];
    // Of a server that is as new as that nothing can be told.
    const isOld = 'select pg_postmaster_start_time() < now() - $1::interval as "isOld"';
    const { rows } = await client.query(isOld, ['8 seconds']);
    const observer = await JudgingEngine.begin(database.url);
    const [saidOfKilled, saidOfOther] = await observer.heart(killed, withoutLease);
    if (rows[0].isOld) expect(saidOfKilled).toBe(true);
    expect(saidOfOther).toBe(false);
    expect(await observer.later(killed, withoutLease)).toEqual([true, true]);
    await observer.end();
  });

  test('gives engines two seconds that fell silent together, or before another one came back', async () => {
    const [one, other] = [await engine(KILLED, true), await engine(KILLED, true)];
    const observer = await JudgingEngine.begin(database.url);
    expect(await observer.heartAfter('1500 milliseconds', one, other)).toEqual([false, false]);
    expect(await observer.heartAfter('2100 milliseconds', one, other)).toEqual([true, true]);
    await client.query(
      `update execution_engines set started_at = now() - interval '1 minute', heartbeat_at = now(), heard_since = now()
        where id = $1`,
      [other],
    );
    expect(await observer.heartAfter('1500 milliseconds', one)).toEqual([false]);
    expect(await observer.heartAfter('2100 milliseconds', one)).toEqual([true]);
    await client.query('delete from execution_engines where id = $1', [other]);
    expect(await observer.heartAfter('1500 milliseconds', one)).toEqual([true]);
    await observer.end();
  });

  test('judges nobody at once whose lease is held', async () => {
    const id = await engine(KILLED, true);
    const lease = holdLease(database.url, id, fail);
    await lease.ready;
    await silentFor(id, KILLED);
    const observer = await JudgingEngine.begin(database.url);
    expect(await observer.heart(id)).toEqual([false]);
    await lease.close();
    await observer.end();
  });
});

test('a heartbeat that lies ahead is none: the clock was set back', async () => {
  const observer = await JudgingEngine.settled(database.url);
  const ahead = await engine('-1 hour', true);
  await observer.isSilent('-1 hour');
  expect(await isAlive(ahead)).toBe(false);
  expect(await observer.heart(ahead)).toEqual([false]);
  expect(await observer.later(ahead)).toEqual([true]);
  await observer.end();
});

const says = async (id: string) =>
  (await client.query('select has_lease from execution_engines where id = $1', [id])).rows[0].has_lease;

describe('the lease of heartbeats', () => {
  test('is held from the first heartbeat of a session to its end', async () => {
    const engine = await JudgingEngine.begin(database.url);
    await silentFor(engine.id, KILLED);
    expect([await says(engine.id), await isAlive(engine.id)]).toEqual([true, true]);
    await engine.reconnect();
    expect(await isAlive(engine.id)).toBe(false);
    await engine.heart();
    await silentFor(engine.id, KILLED);
    expect([await says(engine.id), await isAlive(engine.id)]).toEqual([true, true]);
    await engine.reconnect();
    expect(await isAlive(engine.id)).toBe(false);
    await engine.end();
  });

  test('keeps an engine alive that is late and has lost its other lease, and the other way round', async () => {
    const engine = await JudgingEngine.begin(database.url);
    const lease = holdLease(database.url, engine.id, fail);
    await lease.ready;
    await silentFor(engine.id, KILLED);
    await engine.reconnect();
    expect(await isAlive(engine.id)).toBe(true);
    await engine.heart();
    await lease.close();
    await silentFor(engine.id, KILLED);
    expect(await isAlive(engine.id)).toBe(true);
    await engine.reconnect();
    expect(await isAlive(engine.id)).toBe(false);
    await engine.end();
  });
});

describe('that an engine holds its lease', () => {
  test('is said in its row as soon as it does', async () => {
    const id = await engine('0 seconds', false);
    const lease = holdLease(database.url, id, fail);
    await lease.ready;
    expect(await says(id)).toBe(true);
    await lease.close();
  });

  test('is said by a heartbeat through a pooler after an absence only when it is so', async () => {
    const observer = await JudgingEngine.settled(database.url, OF_POOLER);
    const beat = { id: observer.id, runningCount: 0, hasLease: true };
    await observer.isSilent(SILENT);
    await pulse(client, beat, NO_JOBS, [], OF_POOLER);
    expect(await says(observer.id)).toBe(false);
    const lease = holdLease(database.url, observer.id, fail);
    await lease.ready;
    await observer.isSilent(SILENT);
    await pulse(client, beat, NO_JOBS, [], OF_POOLER);
    expect(await says(observer.id)).toBe(true);
    await lease.close();
    await observer.end();
  });
});
