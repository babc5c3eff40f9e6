/** What fails a transaction and passes, and what does not. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { type TestDatabase, testDatabase } from '../../tests/support/database/database.ts';
import { createPool, type Pool, type Tx } from './client.ts';
import { transact } from './transact.ts';

let database: TestDatabase;
let pool: Pool;

beforeAll(async () => {
  database = await testDatabase();
  pool = createPool(database.url, { applicationName: 'test/transact', max: 2 });
  await pool.query('create table marks (mark text primary key)');
});

afterAll(async () => {
  await pool?.end();
  await database?.drop();
});

const raise = (tx: Tx, code: string) =>
  tx.query(`do $$ begin raise exception 'on purpose' using errcode = '${code}'; end $$`);
const marks = async (mark: string) =>
  (await pool.query('select 1 from marks where mark = $1', [mark])).rowCount;

/** Fails its first attempts in some way, and writes a mark in each. */
function failing(mark: string, times: number, fail: (tx: Tx) => Promise<unknown>) {
  const seen = { attempts: 0 };
  const work = async (tx: Tx) => {
    seen.attempts += 1;
    await tx.query('insert into marks values ($1)', [mark]);
    if (seen.attempts <= times) await fail(tx);
    return seen.attempts;
  };
  return { seen, work };
}

/** SQLSTATEs by what they say. */
const PASSING: Readonly<Record<string, string>> = {
  'an idle transaction was ended': '25P03',
  'a transaction took too long': '25P04',
  'the server is shut down': '57P01',
  'the server crashed': '57P02',
  'the server starts': '57P03',
  'there are too many connections': '53300',
  'the server is a standby now': '25006',
  'the connection failed': '08006',
  'it was not serialized': '40001',
  'there was a deadlock': '40P01',
  'a lock was not to be had in time': '55P03',
  'nobody knows whether it was completed': '40003',
};

test.each(Object.entries(PASSING))('%s (%s): the transaction is run again', async (what, code) => {
  const { seen, work } = failing(what, 2, (tx) => raise(tx, code));
  expect(await transact(pool, work)).toBe(3);
  expect([seen.attempts, await marks(what)]).toEqual([3, 1]);
});

const STAYING: Readonly<Record<string, string>> = {
  'a value is wrong': '22023',
  'a row is there already': '23505',
  'there is no such table': '42P01',
  'the user may not do it': '42501',
  'a statement took all its time': '57014',
  'the disk is full': '53100',
};

test.each(Object.entries(STAYING))('%s (%s): it is told at once', async (what, code) => {
  const { seen, work } = failing(what, 1, (tx) => raise(tx, code));
  await expect(transact(pool, work)).rejects.toMatchObject({ code });
  expect([seen.attempts, await marks(what)]).toEqual([1, 0]);
});

test('a session that somebody ends between two statements is made anew', async () => {
  const { seen, work } = failing('ended', 1, async (tx) => {
    const { rows } = await tx.query('select pg_backend_pid() as pid');
    await pool.query('select pg_terminate_backend($1)', [rows[0].pid]);
    await tx.query('select 1');
  });
  await transact(pool, work);
  expect([seen.attempts, await marks('ended')]).toEqual([2, 1]);
});

test('after the signal there is no other attempt', async () => {
  const stop = new AbortController();
  const { seen, work } = failing('stopped', 1, (tx) => {
    stop.abort();
    return raise(tx, '40P01');
  });
  await expect(transact(pool, work, stop.signal)).rejects.toMatchObject({ code: '40P01' });
  expect(seen.attempts).toBe(1);
});
