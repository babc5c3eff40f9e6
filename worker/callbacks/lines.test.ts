import { expect, test } from 'bun:test';
import { Spread } from '../consumer/spread.ts';
import { CallbackLines } from './lines.ts';

const LONG_MS = 60_000;

/** Calls that go on until they are let go, by what they are for. */
function world() {
  const lines = new CallbackLines(LONG_MS);
  const under: { host: string; end: () => void }[] = [];
  const call = (host: string, workspace = 'only') =>
    lines.call({ url: `https://${host}/${Math.random()}`, workspace }, async () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      under.push({ host, end: resolve });
      await promise;
      return host;
    });
  const count = async (host: string) => {
    await new Promise(setImmediate);
    return under.filter((each) => each.host === host).length;
  };
  return { lines, under, call, count };
}

test('a receiver gets 12 calls at a time, others get theirs, and what waits goes on when one ends', async () => {
  const { under, call, count } = world();
  const slow = Array.from({ length: 20 }, () => call('slow.example'));
  expect(await count('slow.example')).toBe(12);
  call('quick.example');
  expect(await count('quick.example')).toBe(1);
  under[0]!.end();
  expect(await slow[0]).toEqual({ result: 'slow.example' });
  expect(await count('slow.example')).toBe(13);
});

test('beyond 32 that wait for a receiver they are put off', async () => {
  const { call } = world();
  const all = Array.from({ length: 46 }, () => call('slow.example'));
  const pauses = await Promise.all(all.slice(44));
  for (const pause of pauses) expect(pause).toBeGreaterThanOrEqual(1_000);
});

test('there are 96 calls at a time', async () => {
  const { under, call } = world();
  for (let at = 0; at < 110; at += 1) call(`receiver-${at}.example`);
  await new Promise(setImmediate);
  expect(under).toHaveLength(96);
  under[0]!.end();
  await new Promise(setImmediate);
  expect(under).toHaveLength(97);
});

test('a workspace with many slow receivers leaves calls to the others, and goes on when one ends', async () => {
  const { under, call } = world();
  call('other.example', 'other');
  for (let at = 0; at < 70; at += 1) call(`receiver-${at}.example`, 'busy');
  await new Promise(setImmediate);
  expect(under).toHaveLength(49);
  for (let at = 0; at < 40; at += 1) call(`another-${at}.example`, 'other');
  await new Promise(setImmediate);
  expect(under).toHaveLength(89);
  under[1]!.end();
  await new Promise(setImmediate);
  expect(under.filter(({ host }) => host.startsWith('receiver'))).toHaveLength(49);
});

test('who has waited long enough is put off, and so is who waits when it is closed', async () => {
  const soon = new CallbackLines(1);
  const never = () => new Promise(() => {});
  const route = { url: 'https://a.example', workspace: 'only' };
  for (let at = 0; at < 12; at += 1) soon.call(route, never);
  expect(await soon.call(route, never)).toBeNumber();
  const { lines, call } = world();
  const all = Array.from({ length: 13 }, () => call('a.example'));
  await new Promise(setImmediate);
  lines.close();
  expect(await all[12]).toBeNumber();
});

test('what is put off comes back soon, apart from each other, and no later than it may', () => {
  const spread = new Spread(1_000, 3_000);
  expect([0, 1, 2, 3, 4, 5, 6].map(() => spread.next(500, 10))).toEqual([
    1_000, 1_500, 2_000, 2_500, 3_000, 3_000, 3_000,
  ]);
  expect(spread.next(500, 60_000)).toBe(1_000);
});
