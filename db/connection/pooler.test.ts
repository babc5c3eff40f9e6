import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { type TestDatabase, testDatabase } from '../../tests/support/database/database.ts';
import { proxyTo } from '../../tests/support/faults/proxy.ts';
import { transactionPooler } from '../../tests/support/faults/transaction-pooler.ts';
import { detectPooler } from './pooler.ts';
import { checkServer } from './server-check.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await testDatabase();
});

afterAll(() => database.drop());

describe('a pooler in transaction mode', () => {
  test.each([1, 2, 3, 10])('with %p server sessions is seen', async (size) => {
    const pooler = await transactionPooler(database.url, size);
    try {
      expect(await detectPooler(pooler.url)).toBe(true);
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
  expect(await detectPooler(database.url)).toBe(false);
  const proxy = await proxyTo(database.url);
  try {
    expect(await detectPooler(proxy.url)).toBe(false);
  } finally {
    await proxy.close();
  }
});

test('a server that cannot be reached is no finding but an error', async () => {
  await expect(detectPooler('postgres://nobody@127.0.0.1:1/nothing')).rejects.toThrow();
});
