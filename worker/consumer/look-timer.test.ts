/** When the consumer looks again. */
import { expect, test } from 'bun:test';
import { LookTimer } from './look-timer.ts';

/** Resolves with how often it was due, when that is so many times. */
function timer(count: number) {
  const { promise, resolve } = Promise.withResolvers<void>();
  const due: number[] = [];
  const looks = new LookTimer(() => {
    due.push(performance.now());
    if (due.length === count) resolve();
  });
  return { looks, due, reached: promise };
}

test('a look that is wanted sooner does not wait for a later one, which is made as well', async () => {
  const { looks, due, reached } = timer(2);
  const from = performance.now();
  looks.in(150);
  looks.in(20);
  await reached;
  expect(due[1]! - from).toBeGreaterThanOrEqual(149);
  // The first was not the later one: it would have been the only one.
  expect(due[0]!).toBeLessThan(due[1]!);
});

test('looks that are wanted meanwhile are made at the last of them', async () => {
  const { looks, due, reached } = timer(2);
  const from = performance.now();
  looks.in(20);
  looks.in(60);
  looks.in(40);
  await reached;
  expect(due[1]! - from).toBeGreaterThanOrEqual(59);
  looks.close();
});

test('one that is closed is due no more', async () => {
  const { looks, due } = timer(1);
  looks.in(1);
  looks.close();
  const later = timer(1);
  later.looks.in(20);
  await later.reached;
  expect(due).toEqual([]);
});
