import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { cases } from '../../tests/support/core/cases.ts';
import { hookToken, readHookToken } from './token.ts';

const KEY = 'a key';
const address = fc.record({
  executionId: fc.uuid(),
  scope: fc.oneof(fc.constant(''), fc.string({ unit: 'grapheme', maxLength: 40 })),
  position: fc.nat(2 ** 32 - 1),
});

describe('the token of a hook', () => {
  test('names its step, and fits into a path', () => {
    fc.assert(
      fc.property(address, (given) => {
        const token = hookToken(KEY, given);
        expect(token).toMatch(/^[A-Za-z0-9_-]+$/);
        expect(readHookToken(KEY, token)).toEqual({ ...given, scope: Buffer.from(given.scope).toString() });
      }),
      cases(500),
    );
  });

  test('of another key, or changed in one place, names none', () => {
    fc.assert(
      fc.property(address, fc.nat(), fc.constantFrom(...'Ab0_-'), (given, at, letter) => {
        const token = hookToken(KEY, given);
        expect(readHookToken('another key', token)).toBeNull();
        const place = at % token.length;
        const changed = token.slice(0, place) + letter + token.slice(place + 1);
        if (changed !== token) expect(readHookToken(KEY, changed)).toBeNull();
        expect(readHookToken(KEY, token.slice(0, place))).toBeNull();
        expect(readHookToken(KEY, token + letter)).toBeNull();
      }),
      cases(500),
    );
  });

  test('that is no token at all names none', () => {
    for (const text of ['', 'x', '%', '../..', 'A'.repeat(60), 'A'.repeat(100_000)])
      expect(readHookToken(KEY, text)).toBeNull();
  });
});
