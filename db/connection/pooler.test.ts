import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import pg from 'pg';
import { type TestDatabase, testDatabase } from '../../tests/support/database/database.ts';
import { proxyTo } from '../../tests/support/faults/proxy.ts';
import { transactionPooler } from '../../tests/support/faults/transaction-pooler.ts';
import { detectPooler } from './pooler.ts';
import { checkServer } from './server-check.ts';
import { connectionConfig } from './session.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await testDatabase();
});

afterAll(() => database.drop());

async function isPooled(url: string): Promise<boolean> {
  const client = new pg.Client(connectionConfig(url, { applicationName: 'test' }));
  client.on('error', () => {});
  try {
    await client.connect();
    return await detectPooler(client, url);
  } finally {
    await client.end().catch(() => {});
  }
}

describe('a pooler in transaction mode', () => {
  test.each([1, 2, 3, 10])('with %p server sessions is seen', async (size) => {
    const pooler = await transactionPooler(database.url, size);
    try {
      expect(await isPooled(pooler.url)).toBe(true);
    } finally {
      await pooler.close();
    }
  });

  test('is a warning that says what does not work through it', async () => {
    const pooler = await transactionPooler(database.url, 2);
    try {
      const { warnings } = await checkServer(pooler.url);
      expect(warnings.at(-1)).toMatch(/^A pooler in transaction mode .*LISTEN.*DATABASE_DIRECT_URL/);
    } finally {
      await pooler.close();
    }
  });
});

test('a server that is reached directly, or through a proxy that gives each client its own session, has none', async () => {
  expect(await isPooled(database.url)).toBe(false);
  const proxy = await proxyTo(database.url);
  try {
    expect(await isPooled(proxy.url)).toBe(false);
  } finally {
    await proxy.close();
  }
});

test('a server that cannot be reached is no finding but an error', async () => {
  await expect(isPooled('postgres://nobody@127.0.0.1:1/nothing')).rejects.toThrow();
});
