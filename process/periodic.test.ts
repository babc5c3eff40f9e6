import { expect, test } from 'bun:test';
import { Periodic } from './periodic.ts';

test('a round begins after the last has ended, also after one that failed, and none after the close', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const errors: unknown[] = [];
  let rounds = 0;
  let open = 0;
  const periodic: Periodic = new Periodic({
    tick: async () => {
      rounds += 1;
      open += 1;
      expect(open).toBe(1);
      await new Promise((done) => setImmediate(done));
      open -= 1;
      if (rounds === 2) throw new Error('failed');
      if (rounds === 4) resolve();
    },
    intervalMs: 0,
    onError: (error) => errors.push(error),
  });
  periodic.start();
  await promise;
  await periodic.close();
  expect(errors).toEqual([new Error('failed')]);
  const { setTimeout: later } = globalThis;
  await new Promise((done) => later(done, 0));
  expect(rounds).toBe(4);
});

test('a round that is hurried begins at once, and the rounds after it as ever', async () => {
  const rounds = Array.from({ length: 3 }, () => Promise.withResolvers<void>());
  let count = 0;
  const periodic: Periodic = new Periodic({
    tick: async () => rounds[count++]?.resolve(),
    intervalMs: 1_000_000,
    onError: () => {},
  });
  periodic.hurry();
  expect(count).toBe(0);
  for (const { promise } of rounds) {
    if (count === 0) periodic.start();
    else periodic.hurry();
    await promise;
    await new Promise((done) => setImmediate(done));
  }
  periodic.hurry();
  expect(count).toBe(4);
  await periodic.close();
  periodic.hurry();
  expect(count).toBe(4);
});

test('a first round that is put off begins after the pause, and not at all after the close', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  let count = 0;
  const tick = async () => {
    count += 1;
    resolve();
  };
  const periodic = new Periodic({ tick, intervalMs: 1_000_000, onError: () => {} });
  periodic.start(1);
  expect(count).toBe(0);
  await promise;
  await periodic.close();
  const closed = new Periodic({ tick, intervalMs: 1_000_000, onError: () => {} });
  closed.start(1);
  await closed.close();
  const later = Promise.withResolvers<void>();
  const other = new Periodic({ tick: async () => later.resolve(), intervalMs: 1_000_000, onError: () => {} });
  other.start(2);
  await later.promise;
  await other.close();
  expect(count).toBe(1);
});
