import { afterAll, beforeAll, expect, test } from 'bun:test';
import pg from 'pg';
import { type TestDatabase, testDatabase } from '../../tests/support/database/database.ts';
import { proxyTo } from '../../tests/support/faults/proxy.ts';
import { listen } from './listen.ts';

let database: TestDatabase;
let sender: pg.Client;
const quick = { heartbeatMs: 1_000, maxBackoffMs: 20 };

beforeAll(async () => {
  database = await testDatabase();
  sender = new pg.Client({ connectionString: database.url });
  await sender.connect();
});

afterAll(async () => {
  await sender.end();
  await database.drop();
});

const notify = (channel: string, payload: string) =>
  sender.query('select pg_notify($1, $2)', [channel, payload]);

/** Collects calls and lets a test wait for the next one. */
function mailbox<T>() {
  const items: T[] = [];
  let wake = Promise.withResolvers<void>();
  return {
    items,
    put: (item: T) => {
      items.push(item);
      wake.resolve();
      wake = Promise.withResolvers<void>();
    },
    until: async (count: number) => {
      while (items.length < count) await wake.promise;
      return items;
    },
  };
}

test('a notification arrives with its channel and payload, whatever the channel is called', async () => {
  const box = mailbox<string>();
  const channels = ['work', 'Odd "name"; drop'];
  const listener = listen(database.url, channels, (channel, payload) => box.put(`${channel}:${payload}`));
  await listener.ready;
  await notify('work', 'one');
  await notify('elsewhere', 'two');
  await notify('Odd "name"; drop', '');
  expect(await box.until(2)).toEqual(['work:one', 'Odd "name"; drop:']);
  await listener.close();
});

test('a listener whose session is ended listens again and says so', async () => {
  const box = mailbox<string>();
  const back = mailbox<boolean>();
  const lost = mailbox<Error>();
  const options = { maxBackoffMs: 20, applicationName: 'listen/ended', onError: lost.put };
  const listener = listen(
    database.url,
    ['work'],
    (_, payload) => box.put(payload),
    () => back.put(true),
    options,
  );
  await listener.ready;
  for (const round of [1, 2]) {
    await sender.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'listen/ended'",
    );
    await back.until(round);
    await notify('work', `round ${round}`);
    await box.until(round);
  }
  expect(box.items).toEqual(['round 1', 'round 2']);
  expect(lost.items.length).toBeGreaterThanOrEqual(2);
  await listener.close();
});

test('a listener whose connection falls silent finds out by itself', async () => {
  const proxy = await proxyTo(database.url);
  const back = mailbox<boolean>();
  const box = mailbox<string>();
  const listener = listen(
    proxy.url,
    ['work'],
    (_, payload) => box.put(payload),
    () => back.put(true),
    quick,
  );
  await listener.ready;
  proxy.silence();
  proxy.heal();
  await back.until(1);
  await notify('work', 'after the silence');
  expect(await box.until(1)).toEqual(['after the silence']);
  await listener.close();
  await proxy.close();
});

test('a listener that starts before its server does becomes ready when the server is there', async () => {
  const failures = mailbox<Error>();
  const proxy = await proxyTo(database.url);
  proxy.silence();
  const options = { maxBackoffMs: 20, connectTimeoutMs: 1_000, onError: failures.put };
  const listener = listen(
    proxy.url,
    ['work'],
    () => {},
    () => {},
    options,
  );
  await failures.until(2);
  proxy.heal();
  await listener.ready;
  await listener.close();
  await proxy.close();
});

test('a listener that is closed while it connects ends at once and calls nobody', async () => {
  const proxy = await proxyTo(database.url);
  proxy.silence();
  const calls: string[] = [];
  const call = (name: string) => () => void calls.push(name);
  const listener = listen(proxy.url, ['work'], call('notify'), call('reconnect'), {
    connectTimeoutMs: 60_000,
    onError: call('error'),
  });
  await listener.close();
  await listener.ready;
  expect(calls).toEqual([]);
  await proxy.close();
});

test('a closed listener leaves no session behind', async () => {
  const listener = listen(
    database.url,
    ['work'],
    () => {},
    () => {},
    { applicationName: 'listen/closed' },
  );
  await listener.ready;
  await listener.close();
  const open = "select count(*)::int as n from pg_stat_activity where application_name = 'listen/closed'";
  for (let sessions = 1; sessions > 0; ) sessions = (await sender.query(open)).rows[0].n;
});
