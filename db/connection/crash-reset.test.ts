/**
 * A server that resets itself because a backend crashed: every lease is free at once, and the postmaster is as old as
 * before.
 */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { ChaosPostgres } from '../../chaos/stage/postgres.ts';
import { observerIsSettled } from '../engine-alive.ts';
import { isUnavailable } from './session.ts';

let postgres: ChaosPostgres;

beforeAll(async () => {
  postgres = await ChaosPostgres.start(await mkdtemp(join(tmpdir(), 'crash-reset-')), { fsync: 'off' });
});

afterAll(async () => {
  await postgres.stop();
  await postgres.remove();
});

/** A session of a process that has only just begun. */
async function connect(): Promise<pg.Client> {
  for (;;) {
    const client = new pg.Client({ connectionString: postgres.url });
    client.on('error', () => {});
    try {
      await client.connect();
      return client;
    } catch (error) {
      if (!isUnavailable(error)) throw error;
    }
  }
}

/** Null: the server let it in and reset itself only then. */
async function judge(): Promise<pg.QueryResult | null> {
  const client = await connect();
  try {
    await client.query('update execution_engines set started_at = now()');
    return await client.query(`
      select ${observerIsSettled('g.id')} as settled, a.backend_start > now() - interval '5 seconds' as "wasReset",
             pg_postmaster_start_time() < now() - interval '5 seconds' as "isOld"
        from execution_engines g, pg_stat_activity a where a.backend_type = 'checkpointer'`);
  } catch (error) {
    if (!isUnavailable(error)) throw error;
    return null;
  } finally {
    await client.end().catch(() => {});
  }
}

test('a process that has only just begun judges nobody for a while after the server has reset itself', async () => {
  const before = await connect();
  await before.query('create table execution_engines (id uuid, started_at timestamptz)');
  await before.query('insert into execution_engines values (gen_random_uuid(), now())');
  const isOld = `select pg_postmaster_start_time() < now() - interval '5 seconds' as "isOld", pg_backend_pid() as pid`;
  let { rows } = await before.query(isOld);
  while (!rows[0].isOld) ({ rows } = await before.query(isOld));
  process.kill(rows[0].pid, 'SIGKILL');
  await new Promise((resolve) => before.once('end', resolve));

  let judged = await judge();
  while (judged === null) judged = await judge();
  const { settled, wasReset, isOld: stillOld } = judged.rows[0];
  expect(stillOld).toBe(true);
  expect(settled).toBe(!wasReset);
});
