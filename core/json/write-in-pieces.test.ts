/** Large values, written as JSON a piece at a time. */
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { cases } from '../../tests/support/core/cases.ts';
import { isLightValue, writeJsonInPieces } from './write-in-pieces.ts';

function write(value: unknown): { text: string | undefined; pauses: number } {
  const work = writeJsonInPieces(value);
  for (let pauses = 0; ; pauses += 1) {
    const { done, value: text } = work.next();
    if (done === true) return { text, pauses };
  }
}

const many = <T>(count: number, make: (at: number) => T): T[] =>
  Array.from({ length: count }, (_, at) => make(at));

test.each([
  ['numbers', many(100_000, (at) => at / 7)],
  [
    'records',
    {
      list: many(20_000, (at) => ({ at, text: `"${at}\n`, none: undefined, list: [undefined, null, true] })),
    },
  ],
  ['members', Object.fromEntries(many(50_000, (at) => [`key ${at}`, {}]))],
  ['deep arrays', many(500, (at) => at).reduce<unknown>((inner) => [inner, many(200, (at) => at)], 0)],
  ['long strings', many(50, () => 'é"\\'.repeat(10_000))],
])('%s: the text is that of JSON.stringify, and is written with pauses', (_, value) => {
  const { text, pauses } = write(value);
  expect(text === JSON.stringify(value)).toBe(true);
  expect(pauses).toBeGreaterThan(1);
  expect(isLightValue(value)).toBe(false);
});

test('any value is written as JSON.stringify writes it', () => {
  const value = fc.anything({ withNullPrototype: false, withSparseArray: true });
  fc.assert(
    fc.property(fc.oneof(value, fc.jsonValue()), (any) => {
      const expected = JSON.stringify(any);
      // Values with a toJSON of their own are not plain data.
      if (expected !== undefined && JSON.stringify(any)?.includes('toJSON')) return;
      expect(write(any).text).toBe(expected);
      expect(isLightValue(any)).toBe(true);
    }),
    cases(300),
  );
});
