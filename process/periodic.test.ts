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
