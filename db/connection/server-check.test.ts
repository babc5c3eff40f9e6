/** What is said of a server before it is used: of the one the tests run on, and of what such a server may answer. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import pg from 'pg';
import { type TestDatabase, testDatabase } from '../../tests/support/database/database.ts';
import type { Db } from './client.ts';
import { checkServer, readServerState } from './server-check.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await testDatabase();
});

afterAll(() => database.drop());

/** A server that answers the question with this. */
function serverThat(answer: object): Db {
  const rows = [
    {
      version: '18.1',
      number: 180_001,
      standby: false,
      read_only: 'off',
      fsync: 'on',
      full_page_writes: 'on',
      synchronous_commit: 'on',
      ...answer,
    },
  ];
  return { query: async () => ({ rows }) } as unknown as Db;
}

test('a direct URL that leads to another database is refused before anything is written', async () => {
  const other = await testDatabase();
  try {
    await expect(checkServer(database.url, { directUrl: other.url })).rejects.toThrow(
      'DATABASE_DIRECT_URL leads to another database than DATABASE_URL',
    );
    expect(await checkServer(database.url, { directUrl: database.url })).toMatchObject({ refusal: null });
  } finally {
    await other.drop();
  }
});

test.each([
  ['port', 'connect ECONNREFUSED', (url: URL) => Object.assign(url, { port: '1' })],
  ['name', 'does not exist', (url: URL) => Object.assign(url, { pathname: '/nosuch' })],
])(
  'a database with a wrong %s is named with its variable and its place, and without its password',
  async (_, reason, change) => {
    const { href, host, pathname, password } = change(new URL(database.url));
    const refused = (variable: string) =>
      new RegExp(`^${variable} names a database that cannot be used \\(${host}${pathname}\\): .*${reason}`);
    await expect(checkServer(href)).rejects.toThrow(refused('DATABASE_URL'));
    const direct = checkServer(database.url, { directUrl: href });
    await expect(direct).rejects.toThrow(refused('DATABASE_DIRECT_URL'));
    await direct.catch((error) => expect(String(error)).not.toContain(`:${password}@`));
  },
);

describe('a server', () => {
  test('of the tests can be used, and is said to lose data', async () => {
    const { refusal, warnings, version } = await checkServer(database.url);
    expect([refusal, version.split('.')[0]]).toEqual([null, '18']);
    expect(warnings.map((warning) => warning.split(' is off')[0])).toEqual([
      'fsync',
      'full_page_writes',
      'synchronous_commit',
    ]);
  });

  test('that keeps what it acknowledges is not warned of', async () => {
    for (const synchronous_commit of ['on', 'local', 'remote_write', 'remote_apply', null]) {
      const state = await readServerState(serverThat({ synchronous_commit }));
      expect(state).toEqual({ version: '18.1', refusal: null, warnings: [] });
    }
  });

  test.each([
    [{ number: 120_022, version: '12.22' }, 'is PostgreSQL 12.22; accepted: version 13 or newer'],
    [{ standby: true }, 'is a standby, which cannot be written; accepted: the primary'],
    [{ read_only: 'on' }, 'opens read-only transactions'],
  ])('that answers %p is refused', async (answer, refusal) => {
    const state = await readServerState(serverThat(answer));
    expect(state.refusal).toStartWith(refusal);
  });

  test('whose transactions are read-only is refused by name, before anything is written', async () => {
    const readOnly = await testDatabase();
    try {
      const client = new pg.Client({ connectionString: readOnly.url });
      await client.connect();
      const { rows } = await client.query('select current_database() as name');
      await client.query(`alter database ${rows[0].name} set default_transaction_read_only = on`);
      await client.end();
      await expect(checkServer(readOnly.url)).rejects.toThrow(
        /^DATABASE_URL names a database that opens read-only transactions .*; accepted: one that can be written\.$/,
      );
    } finally {
      await readOnly.drop();
    }
  });
});
