import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { type TestDatabase, testDatabase } from '../tests/support/database/database.ts';
import { holdLease, leaseIsFree } from './connection/lease.ts';
import { engineIsAlive, observerIsSettled } from './engine-alive.ts';

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

async function engine(silence: string, hasLease: boolean): Promise<string> {
  const id = randomUUID();
  await client.query(
    `insert into execution_engines (id, role, host, pid, version, capacity, heartbeat_at, has_lease)
     values ($1, 'all', 'here', 1, '0', 1, now() - $2::interval, $3)`,
    [id, silence, hasLease],
  );
  return id;
}

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

/** Asked by a session that has only just come, of an engine that registered so long ago. */
async function settledSince(began: string): Promise<{ settled: boolean; serverIsNew: boolean }> {
  const fresh = new pg.Client({ connectionString: database.url });
  await fresh.connect();
  const id = await engine('0 seconds', true);
  await client.query('update execution_engines set started_at = now() - $2::interval where id = $1', [
    id,
    began,
  ]);
  const { rows } = await fresh.query(
    `select ${observerIsSettled('$1')} as settled,
            pg_postmaster_start_time() > now() - interval '5 seconds' as "serverIsNew"`,
    [id],
  );
  await fresh.end();
  return rows[0];
}

test('a session that was made anew judges nobody: others may be on their way back as well', async () => {
  expect((await settledSince('1 minute')).settled).toBe(false);
});

test('a process that has only just begun judges at once, unless the server has too', async () => {
  const { settled, serverIsNew } = await settledSince('0 seconds');
  expect(settled).toBe(!serverIsNew);
});
