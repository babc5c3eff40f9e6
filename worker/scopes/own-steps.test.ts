import { expect, test } from 'bun:test';
import { OwnSteps } from './own-steps.ts';

/** Offers so many steps, and returns how many are kept. */
function kept(
  own: OwnSteps,
  count: number,
  free: number,
  by: 'here' | 'ends elsewhere' | 'loaded',
  from = 0,
) {
  const ids = Array.from({ length: count }, (_, at) => `s${from + at}`);
  return ids.filter((id) => own.mayKeep(id, free, by));
}

test('an engine keeps what it can begin, then leaves as much to another one, keeps as much again, and leaves the rest', () => {
  const own = new OwnSteps(20, () => true);
  const ids = kept(own, 100, 20, 'here');
  expect(ids).toEqual(
    [...Array(20).keys(), ...Array.from({ length: 20 }, (_, at) => 40 + at)].map((at) => `s${at}`),
  );
  expect(own.has('s0')).toBe(true);
  expect(own.has('s20')).toBe(false);
});

test('a step in place of one that it has begun is its own, and one in place of one that ended elsewhere is not', () => {
  const own = new OwnSteps(20, () => true);
  for (const id of kept(own, 100, 20, 'here').slice(0, 20)) own.remove(id);
  own.remove('s40');
  expect(kept(own, 1, 0, 'here', 100)).toHaveLength(1);
  expect(kept(own, 1, 0, 'here', 101)).toHaveLength(0);
  expect(kept(own, 5, 0, 'ends elsewhere', 102)).toHaveLength(0);
  // It has nothing else to do.
  expect(kept(own, 1, 21, 'ends elsewhere', 107)).toHaveLength(1);
});

test('an engine with no other one keeps everything, and so it does with what it has read from the database', () => {
  const alone = new OwnSteps(1, () => false);
  expect(kept(alone, 10, 0, 'here')).toHaveLength(10);
  // Their tickets are due at once.
  expect(alone.has('s0')).toBe(false);
  expect(kept(new OwnSteps(1, () => true), 10, 0, 'loaded')).toHaveLength(10);
});

test('steps that nobody takes are taken back after a while, and those of which one has ended lately are not', () => {
  let now = 0;
  const own = new OwnSteps(
    20,
    () => true,
    () => now,
  );
  kept(own, 100, 20, 'here');
  expect(own.lying).toBe(0);
  now = 1_500;
  kept(own, 1, 0, 'ends elsewhere', 100);
  now = 3_000;
  expect(own.lying).toBe(0);
  now = 3_500;
  expect(own.lying).toBe(20);
  own.tookBack();
  expect(own.lying).toBe(0);
});
