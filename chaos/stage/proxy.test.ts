/** The faulty wire, in front of a real PostgreSQL. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { createPool, type Pool, withTransaction } from '../../db/connection/client.ts';
import { type TestDatabase, testDatabase } from '../../tests/support/database/database.ts';
import { chance } from '../chance.ts';
import { PostgresProxy } from './proxy.ts';

let database: TestDatabase;
let direct: Pool;

beforeAll(async () => {
  database = await testDatabase();
  direct = createPool(database.url, { max: 1, applicationName: 'test' });
  await direct.query('create table marks (mark text)');
});

afterAll(async () => {
  await direct.end();
  await database.drop();
});

/** A pool on a wire of its own. */
async function onWire() {
  const proxy = await PostgresProxy.listen(() => Number(new URL(database.url).port), chance(1));
  const url = new URL(database.url);
  url.port = String(proxy.port);
  const pool = createPool(url.href, { max: 2, applicationName: 'test/wire' });
  return {
    proxy,
    pool,
    [Symbol.asyncDispose]: async () => {
      await proxy.close();
      await pool.end();
    },
  };
}

const marks = async (mark: string) =>
  (await direct.query('select count(*)::integer as count from marks where mark = $1', [mark])).rows[0].count;

const write = (pool: Pool, mark: string) =>
  withTransaction(pool, (tx) => tx.query('insert into marks values ($1)', [mark]));

test('without faults it passes everything on, large answers too', async () => {
  await using wire = await onWire();
  await write(wire.pool, 'plain');
  expect(await marks('plain')).toBe(1);
  const { rows } = await wire.pool.query(`select repeat('x', 5000000) as text`);
  expect(rows[0].text.length).toBe(5_000_000);
});

test('a commit whose answer is eaten has happened, and the client hears of a broken connection', async () => {
  await using wire = await onWire();
  wire.proxy.faults.eat = 1;
  await expect(write(wire.pool, 'eaten')).rejects.toThrow();
  expect([await marks('eaten'), wire.proxy.counts.eaten]).toEqual([1, 1]);
});

test('the answer to a write without a transaction is eaten as well, that to a read is not', async () => {
  await using wire = await onWire();
  wire.proxy.faults.eat = 1;
  expect((await wire.pool.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  await expect(wire.pool.query(`insert into marks values ('alone')`)).rejects.toThrow();
  expect(await marks('alone')).toBe(1);
});

test('a commit that is cut off has not happened', async () => {
  await using wire = await onWire();
  wire.proxy.faults.cut = 1;
  await expect(write(wire.pool, 'cut')).rejects.toThrow();
  expect([await marks('cut'), wire.proxy.counts.cut]).toEqual([0, 1]);
});

test('a dropped connection is replaced; a silent one says nothing until it is healed', async () => {
  await using wire = await onWire();
  await wire.pool.query('select 1');
  expect(wire.proxy.dropOne()).toBe(true);
  expect(wire.proxy.dropOne()).toBe(false);
  while (wire.pool.totalCount > 0) await new Promise((resolve) => setImmediate(resolve));
  const client = await wire.pool.connect();
  const heal = wire.proxy.silenceOne();
  const answer = client.query('select 2 as two');
  const other = await wire.pool.query('select 3 as three');
  expect(other.rows).toEqual([{ three: 3 }]);
  expect(await Promise.race([answer, Promise.resolve('nothing')])).toBe('nothing');
  heal();
  expect((await answer).rows).toEqual([{ two: 2 }]);
  client.release();
});
