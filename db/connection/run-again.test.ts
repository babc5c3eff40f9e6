/** Transactions that cannot be serialized, on a database that is SERIALIZABLE by default. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { type TestDatabase, testDatabase } from '../../tests/support/database/database.ts';
import { createPool, type Pool, type Tx, withTransaction } from './client.ts';
import { isSerializationFailure, runAgain } from './run-again.ts';

let database: TestDatabase;
let pool: Pool;

beforeAll(async () => {
  database = await testDatabase();
  pool = createPool(database.url, { applicationName: 'test/again', max: 4, portable: true });
  const name = new URL(database.url).pathname.slice(1);
  await pool.query(`alter database ${name} set default_transaction_isolation = 'serializable'`);
  await pool.end();
  pool = createPool(database.url, { applicationName: 'test/again', max: 4, portable: true });
  await pool.query('create table counters (id integer primary key, value integer not null)');
});

afterAll(async () => {
  await pool?.end();
  await database?.drop();
});

/** Reads, lets somebody else write, and writes. */
async function increment(tx: Tx, between: () => Promise<unknown>): Promise<void> {
  const { rows } = await tx.query('select value from counters where id = 1');
  await between();
  await tx.query('update counters set value = $1 where id = 1', [rows[0].value + 1]);
}

test('a transaction that lost against another is run again, and nothing is lost', async () => {
  await pool.query('insert into counters values (1, 0) on conflict (id) do update set value = 0');
  let runs = 0;
  const failures: unknown[] = [];
  await runAgain(async () => {
    runs += 1;
    const other = () => (runs === 1 ? pool.query('update counters set value = 10 where id = 1') : nothing());
    await withTransaction(pool, (tx) => increment(tx, other)).catch((error) => {
      failures.push(error);
      throw error;
    });
  });
  expect(runs).toBe(2);
  expect(failures.map(isSerializationFailure)).toEqual([true]);
  expect((await pool.query('select value from counters where id = 1')).rows).toEqual([{ value: 11 }]);
});

test('single statements of a portable pool that collide all happen', async () => {
  await pool.query('insert into counters values (1, 0) on conflict (id) do update set value = 0');
  const add = () => pool.query('update counters set value = value + 1 where id = 1');
  await Promise.all(Array.from({ length: 40 }, add));
  expect((await pool.query('select value from counters where id = 1')).rows).toEqual([{ value: 40 }]);
});

test('what fails for another reason fails at once', async () => {
  let runs = 0;
  const failing = runAgain(async () => {
    runs += 1;
    await pool.query('select 1 / 0');
  });
  await expect(failing).rejects.toThrow('division by zero');
  expect(runs).toBe(1);
});

async function nothing(): Promise<void> {}
