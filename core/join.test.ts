import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { cases } from '../tests/support/core/cases.ts';
import { decideJoin } from './join.ts';

test('an `all` join waits while an edge is open, even when one is live', () => {
  expect(decideJoin('all', 3, 2, 2)).toBe('wait');
  expect(decideJoin('all', 3, 0, 0)).toBe('wait');
});

test('an `all` join fires with one live edge among dead ones, and is skipped when all are dead', () => {
  expect(decideJoin('all', 3, 3, 1)).toBe('fire');
  expect(decideJoin('all', 3, 3, 0)).toBe('skip');
});

test('an `atLeast` join fires with the nth live edge and is skipped with the dead one too many', () => {
  expect(decideJoin(2, 3, 2, 1)).toBe('wait');
  expect(decideJoin(2, 3, 2, 2)).toBe('fire');
  expect(decideJoin(2, 3, 2, 0)).toBe('skip');
  expect(decideJoin(2, 3, 1, 0)).toBe('wait');
});

test('an `any` join is skipped only when every edge is dead', () => {
  expect(decideJoin(1, 3, 2, 0)).toBe('wait');
  expect(decideJoin(1, 3, 3, 0)).toBe('skip');
});

test('a decision is never taken back by a later edge, and is always there when all are resolved', () => {
  const joins = fc.record({
    edges: fc.array(fc.boolean(), { minLength: 1, maxLength: 8 }),
    n: fc.nat(8),
  });
  fc.assert(
    fc.property(joins, ({ edges, n }) => {
      const join = n === 0 ? 'all' : Math.min(n, edges.length);
      let decided: string = 'wait';
      for (let resolved = 1; resolved <= edges.length; resolved++) {
        const live = edges.slice(0, resolved).filter(Boolean).length;
        const decision = decideJoin(join, edges.length, resolved, live);
        if (decided !== 'wait') expect(decision).toBe(decided as typeof decision);
        decided = decision;
      }
      expect(decided).not.toBe('wait');
    }),
    cases(100),
  );
});
