import { describe, expect, test } from 'bun:test';
import { nextInRing, turnAt } from './ring.ts';

const idsOf = (size: number) => Array.from({ length: size }, (_, at) => `engine-${at}`);

describe('in the ring', () => {
  test('every engine is watched by exactly one other, however many there are', () => {
    for (const size of [2, 3, 7]) {
      const ids = idsOf(size);
      const watched = ids.map((id) => nextInRing(id, ids));
      expect(new Set(watched)).toEqual(new Set(ids));
      for (const [at, id] of ids.entries()) expect(watched[at]).not.toBe(id);
    }
  });

  test('an engine that is alone watches nobody', () => {
    expect(nextInRing('a', [])).toBeNull();
    expect(nextInRing('a', ['a'])).toBeNull();
  });

  test('each of the living has a turn of its own at what a dead one held, and who watched it has the first', () => {
    for (const size of [2, 3, 7]) {
      const ids = idsOf(size);
      for (const dead of ids) {
        const living = ids.filter((id) => id !== dead);
        const turns = living.map((id) => turnAt(id, living, dead));
        expect(turns.toSorted()).toEqual(living.map((_, at) => at));
        const first = living[turns.indexOf(0)]!;
        expect(nextInRing(first, ids)).toBe(dead);
      }
    }
  });
});
