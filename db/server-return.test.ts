/**
 * A server that goes away and comes back has lost every lease, those of engines that live as well: an engine that has
 * only just begun, and one that has come back, judge nobody by them at once.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { ChaosPostgres } from '../chaos/stage/postgres.ts';
import { JudgingEngine, writeEngine } from '../tests/support/database/judging-engine.ts';
import { startStandby } from '../tests/support/database/standby.ts';
import { isUnavailable } from './connection/session.ts';
import { migrateEngine } from './migrate/migrate-engine.ts';

/** An engine that is late, on a server that was there before its last heartbeat. */
const LATE = '1500 milliseconds';
const IS_OLDER = `
  select greatest(pg_postmaster_start_time(), pg_stat_get_bgwriter_stat_reset_time()) < now() - interval '${LATE}' as yes`;

let folder: string;
let primary: ChaosPostgres;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'server-return-'));
  await chmod(folder, 0o755);
  primary = await ChaosPostgres.start(join(folder, 'primary'), { fsync: 'off', restart_after_crash: 'on' });
  await migrateEngine(primary.url, { pgbossSchema: 'pgboss', maxInputBytes: 1_000 });
});

afterAll(async () => {
  await primary.stop();
  await rm(folder, { recursive: true, force: true });
});

/** However often the server refuses, or lets somebody in and goes away only then. */
async function insistently<T>(work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!isUnavailable(error)) throw error;
    }
  }
}

async function isOlder(server: ChaosPostgres): Promise<void> {
  await onSession(server, async (client) => {
    while (!(await client.query(IS_OLDER)).rows[0].yes);
  });
}

async function onSession<T>({ url }: ChaosPostgres, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end().catch(() => {});
  }
}

/** Kills a backend; resolves when the server has begun to reset itself. */
async function crashBackend(): Promise<ChaosPostgres> {
  await onSession(primary, async (client) => {
    const { rows } = await client.query('select pg_backend_pid() as pid');
    const ended = new Promise((resolve) => client.once('end', resolve));
    process.kill(rows[0].pid, 'SIGKILL');
    await ended;
  });
  return primary;
}

async function restart(): Promise<ChaosPostgres> {
  await primary.crash();
  await primary.start();
  return primary;
}

async function killPostmaster(): Promise<ChaosPostgres> {
  await primary.killPostmaster();
  await primary.start();
  return primary;
}

describe.each([
  ['that resets itself because a backend crashed', crashBackend],
  ['that is stopped at once and started again', restart],
  ['whose postmaster is killed', killPostmaster],
])('of a server %s', (_, goAndReturn) => {
  test('a process that has only just begun judges nobody at once by the leases it has lost', async () => {
    await isOlder(primary);
    const [killed, old] = await onSession(primary, async (client) => {
      await client.query('delete from execution_engines');
      const id = await writeEngine(client, LATE, true);
      return [id, await JudgingEngine.settled(primary.url)] as const;
    });
    const before = await JudgingEngine.begin(primary.url);
    expect(await before.heart(killed)).toEqual([true]);
    expect(await old.heart(killed)).toEqual([true]);

    const server = await goAndReturn();
    const said = await insistently(async () => {
      const fresh = await JudgingEngine.begin(server.url);
      return [await fresh.heart(killed), await fresh.later(killed)];
    });
    expect(said).toEqual([[false], [true]]);
    expect(
      await insistently(async () => {
        await old.reconnect();
        return old.heart(killed);
      }),
    ).toEqual([false]);
    expect(await old.later(killed)).toEqual([true]);
  });
});

test('of a standby that takes the place of its primary, the same', async () => {
  const standby = await startStandby(primary, join(folder, 'standby'));
  try {
    await isOlder(standby);
    const killed = await onSession(primary, (client) => writeEngine(client, LATE, true));
    await onSession(standby, async (client) => {
      const isThere = 'select count(*)::integer as count from execution_engines where id = $1';
      while ((await client.query(isThere, [killed])).rows[0].count === 0);
      await primary.crash();
      await client.query('select pg_promote()');
      // The server of the test's own began before the heartbeat, and has not been restarted since.
      const { rows } = await client.query(
        'select pg_postmaster_start_time() < heartbeat_at as old from execution_engines where id = $1',
        [killed],
      );
      expect(rows[0].old).toBe(true);
    });
    const fresh = await JudgingEngine.begin(standby.url);
    expect(await fresh.heart(killed)).toEqual([false]);
    expect(await fresh.later(killed)).toEqual([true]);
    await fresh.end();
  } finally {
    await standby.stop();
  }
});
