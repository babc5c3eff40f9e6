import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { cases } from '../../tests/support/core/cases.ts';
import { Shares } from './shares.ts';

/** Lets workspaces take as much as they may, one after the other. */
function greedy(total: number, factor: number, workspaces: number): number[] {
  const shares = new Shares(total, factor);
  for (const workspace of ['w0', 'w1']) shares.meet(workspace);
  return Array.from({ length: workspaces }, (_, at) => {
    let taken = 0;
    for (; shares.mayTake(`w${at}`); taken += 1) shares.take(`w${at}`);
    return taken;
  });
}

test.each([
  [100, 7, [88, 11, 1, 0]],
  [50, 3, [38, 9, 3, 0]],
  [50, 1, [25, 13, 6, 3]],
  [8, 7, [7, 1, 0, 0]],
  [4, 3, [3, 1, 0, 0]],
  [2, 0, [1, 1, 0, 0]],
  [1, 3, [1, 0, 0, 0]],
  [4, Number.POSITIVE_INFINITY, [4, 0, 0, 0]],
])('of %i places, with a factor of %i, greedy workspaces get %p', (total, factor, expected) => {
  expect(greedy(total, factor, 4)).toEqual(expected);
});

test('several places at a time count as if they were taken one by one', () => {
  const shares = new Shares(100, 3);
  shares.meet('a');
  expect(shares.mayTake('a', 100)).toBe(true);
  expect(shares.mayTake('a', 101)).toBe(false);
  shares.meet('b');
  expect([shares.mayTake('a', 75), shares.mayTake('a', 76)]).toEqual([true, false]);
  shares.take('a', 75);
  expect([shares.mayTake('a'), shares.mayTake('b', 19), shares.mayTake('b', 20)]).toEqual([
    false,
    true,
    false,
  ]);
  shares.give('a', 75);
  expect([shares.taken, shares.mayTake('b', 75)]).toEqual([0, true]);
});

test('a workspace that holds nothing gets a place after a greedy one, and what was given back can be taken again', () => {
  const sizes = fc
    .integer({ min: 1, max: 20 })
    .chain((factor) => fc.tuple(fc.constant(factor), fc.integer({ min: factor + 1, max: 200 })));
  fc.assert(
    fc.property(sizes, ([factor, total]) => {
      const shares = new Shares(total, factor);
      for (const workspace of ['greedy', 'other']) shares.meet(workspace);
      while (shares.mayTake('greedy')) shares.take('greedy');
      const held = shares.taken;
      expect(shares.mayTake('other')).toBe(true);
      for (let at = 0; at < held; at += 1) shares.give('greedy');
      expect(shares.free).toBe(total);
      let again = 0;
      for (; shares.mayTake('greedy'); again += 1) shares.take('greedy');
      expect(again).toBe(held);
    }),
    cases(100),
  );
});

test('a workspace that is the only one may take all', () => {
  const shares = new Shares(10, 1);
  shares.meet('only');
  for (let at = 0; at < 10; at += 1) {
    expect(shares.mayTake('only')).toBe(true);
    shares.take('only');
  }
  expect(shares.mayTake('only')).toBe(false);
});
