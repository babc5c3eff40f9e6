import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { RE2JS } from 're2js';
import { cases } from '../../tests/support/core/cases.ts';
import { patternSize } from './pattern-size.ts';

/** Beginning, end and match of a program are not part of its pattern. */
const FRAME = 4;

const pattern = fc.letrec<{ any: string }>((tie) => {
  const any = tie('any');
  const atom = fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constantFrom('a', '.', '\\d', '\\p{L}', '[a-z]', '[^\\]x]', '\\{', '\\u0041', '^', '$', 'é', '😀'),
    any.map((inner) => `(${inner})`),
    any.map((inner) => `(?:${inner})`),
    fc.tuple(any, any).map(([left, right]) => `(${left}|${right})`),
  );
  const repeat = fc.constantFrom('', '', '*', '+', '?', '{3}', '{0,7}', '{2,}', '{1,4}?', '{12}');
  return { any: fc.array(fc.tuple(atom, repeat), { maxLength: 4 }).map((parts) => parts.flat().join('')) };
}).any;

function programSize(text: string): number | null {
  try {
    return RE2JS.compile(RE2JS.translateRegExp(text)).programSize();
  } catch {
    return null;
  }
}

test('a pattern is never larger compiled than its text tells', () => {
  const property = fc.property(pattern, (text) => {
    const compiled = programSize(text);
    if (compiled !== null) expect(patternSize(text)).toBeGreaterThanOrEqual(compiled - FRAME);
  });
  fc.assert(property, cases(2_000));
});

test('any text has a size, also what is no pattern', () => {
  const property = fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
    expect(patternSize(text)).toBeLessThanOrEqual(text.length * 2_000 ** 2);
  });
  fc.assert(property, cases(100));
});
