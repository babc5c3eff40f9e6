import { expect, test } from 'bun:test';
import {
  addScopes,
  areOver,
  countEnds,
  failureOfHolder,
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

const sized = (index: number, bytes: number, status: 'completed' | 'failed' = 'completed') => ({
  ...ended(index, status),
  bytes,
});

test('a list of results is too large as soon as their sum is, with what stands around and between them', () => {
  const held = addScopes(null, { ...ALL, count: 5, maxListBytes: 10 });
  openScopes(held);
  // [1234,123]: ten bytes.
  countEnds(held, [sized(0, 4), sized(1, 3)]);
  expect(failureOfHolder(held)).toBeNull();
  countEnds(held, [sized(2, 0)]);
  expect(failureOfHolder(held)).toMatchObject({ error: { code: 'output_not_storable' }, retryable: false });
});

test('a new run counts the results of completed scopes, and those of failed ones anew', () => {
  const held = addScopes(null, { ...ALL, count: 2, maxListBytes: 100 });
  openScopes(held);
  countEnds(held, [sized(0, 40), sized(1, 50, 'failed')]);
  const next = addScopes(held, { ...ALL, count: 0, again: [1], maxListBytes: 100 });
  openScopes(next);
  countEnds(next, [sized(1, 50)]);
  expect([next.list, failureOfHolder(next)]).toEqual([{ max: 100, completed: 92, failed: 0 }, null]);
});

test('results of a holder that makes no list may have any size', () => {
  const held = addScopes(null, { ...ALL, count: 1 });
  openScopes(held);
  countEnds(held, [sized(0, 1e9)]);
  expect(failureOfHolder(held)).toBeNull();
});
