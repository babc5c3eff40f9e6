import { expect, test } from 'bun:test';
import {
  addScopes,
  areOver,
  countEnds,
  type HeldScopes,
  openScopes,
  partOf,
  unopened,
} from './held-scopes.ts';

const ALL = { concurrency: 10, tolerated: 100 };
const ended = (index: number, status: 'completed' | 'failed') => ({
  index,
  status,
  failure: status === 'failed' ? { error: { code: 'x', message: '', details: null }, retryable: true } : null,
});

/** The numbers add up as the invariants ask. */
function sum({ open, completed, failed, cancelled, ...held }: HeldScopes): number {
  return open + completed + failed + cancelled + unopened({ open, completed, failed, cancelled, ...held });
}

test('scopes that are added later have parts of their own', () => {
  const first = addScopes(null, { ...ALL, count: 2, parts: [1, 0] });
  const both = addScopes(first, { ...ALL, count: 2, parts: [2, 1] });
  expect([0, 1, 2, 3].map((index) => partOf(both, index))).toEqual([1, 0, 2, 1]);
  expect(openScopes(both)).toEqual([0, 1, 2, 3]);
});

test('a holder that names no parts has the first one alone', () => {
  const held = addScopes(null, { ...ALL, count: 2 });
  expect([held.parts, partOf(held, 1)]).toEqual([undefined, 0]);
});

test('a new run that opens nothing anew keeps what has ended, and its numbers add up', () => {
  const held = addScopes(null, { ...ALL, count: 2, parts: [0, 1] });
  openScopes(held);
  countEnds(held, [ended(0, 'completed'), ended(1, 'failed')]);
  const next = addScopes(held, { ...ALL, count: 1, parts: [1], again: [] });
  expect(next).toMatchObject({ run: 2, total: 3, completed: 1, failed: 1, first: null });
  expect([sum(next), openScopes(next), partOf(next, 2)]).toEqual([3, [2], 1]);
  countEnds(next, [ended(2, 'completed')]);
  expect([areOver(next), sum(next)]).toEqual([true, 3]);
});

test('a new run that opens scopes anew counts their ends anew', () => {
  const held = addScopes(null, { ...ALL, count: 2 });
  openScopes(held);
  countEnds(held, [ended(0, 'completed'), ended(1, 'failed')]);
  const next = addScopes(held, { ...ALL, count: 0, again: [1] });
  expect(next).toMatchObject({ run: 2, total: 2, completed: 1, failed: 0 });
  expect([sum(next), openScopes(next)]).toEqual([2, [1]]);
});
