/** Long texts and large values, which are masked a piece at a time. */
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { cases } from '../../tests/support/core/cases.ts';
import { BYTE_SPELLINGS, ESCAPES, PLAIN_BYTE_SPELLINGS } from '../../tests/support/spellings.ts';
import type { Json } from '../json/json.ts';
import { PIECE, type Pieces } from '../pieces.ts';
import { CUT_MARK } from '../text/cut.ts';
import { createMasker } from './masker.ts';

/** Returns the result of work and the number of its pauses. */
function drain<T>(work: Pieces<T>): { result: T; pauses: number } {
  for (let pauses = 0; ; pauses += 1) {
    const { done, value } = work.next();
    if (done === true) return { result: value, pauses };
  }
}

const secret = fc.oneof(
  fc.string({ unit: fc.constantFrom(...'abXY09+/=%&"\\\n<>\'.-_~ é€😀'), minLength: 8, maxLength: 40 }),
  fc.string({ unit: fc.constantFrom(...'秘密のパスワード!'), minLength: 8, maxLength: 12 }),
  fc.constantFrom('a1#b2$c3%d4', '!!??!!??', '-- -- -- --', 'sk_live_0123456789abcdef'),
);
const escaping = fc.constantFrom(...Object.keys(ESCAPES));
/** Letters that no secret has: every spelling of one ends there. */
const FILLER = 'G, ';

describe('a long text', () => {
  const around = fc.record({
    piece: fc.integer({ min: 1, max: 2 }),
    shift: fc.integer({ min: -200, max: 20 }),
  });

  test('hides a secret at the border of two pieces, however it is written, and nothing else', () => {
    fc.assert(
      fc.property(secret, fc.array(escaping, { maxLength: 3 }), around, (value, names, { piece, shift }) => {
        const written = names.reduce((text, name) => ESCAPES[name]!(text), value);
        const before = FILLER.repeat(PIECE)
          .slice(0, piece * PIECE + shift)
          .replace(/ $/, 'G');
        const text = `${before}${written}G${FILLER.repeat(100)}`;
        const mask = createMasker([value, 'another-secret']);
        const masked = mask.text(text);
        expect(mask.suspects(text)).toBe(true);
        expect(masked.replaceAll(' ', '')).toBe(`${before}***G${FILLER.repeat(100)}`.replaceAll(' ', ''));
        expect(drain(mask.inPieces.text(text)).result).toBe(masked);
      }),
      cases(300),
    );
  });

  test('hides the bytes of a secret at the border of two pieces', () => {
    const ways = { ...BYTE_SPELLINGS, ...PLAIN_BYTE_SPELLINGS };
    const way = fc.constantFrom(...Object.keys(ways));
    fc.assert(
      fc.property(secret, way, around, (value, name, { piece, shift }) => {
        const before = '<'.repeat(piece * PIECE + shift);
        const text = `${before}${ways[name]!(value)}>`;
        const mask = createMasker([value]);
        const { result } = drain(mask.inPieces.text(text));
        expect(result).toBe(mask.text(text));
        expect(result.slice(before.length)).toMatch(
          /^[A-Za-z0-9]{0,7}\*\*\*[A-Za-z0-9]{0,7}[\r\n=]*[A-Za-z0-9]{0,7}=*>$/,
        );
      }),
      cases(200),
    );
  });

  test.each(['x', '%255c', '%41', '\\\\u0061', 'é', '秘', '+', `x${CUT_MARK}`, 'abcdefghijklmnopqrstu\n'])(
    'of %j pauses at least once for each piece of it',
    (part) => {
      const text = part.repeat(Math.ceil((8 * PIECE) / part.length));
      const mask = createMasker(['秘密のパスワード', 'a1#b2$c3%d4']);
      const { result, pauses } = drain(mask.inPieces.text(text));
      expect(result).toBe(text);
      expect(pauses).toBeGreaterThanOrEqual(8);
    },
  );

  test('of overlapping and adjacent secrets is one mask', () => {
    const mask = createMasker(['c'.repeat(2_000), 'dddddddd']);
    expect(mask.text(`x${'c'.repeat(3 * PIECE)}${'d'.repeat(PIECE)}x`)).toBe('x***x');
  });
});

describe('a large value', () => {
  const { value: any } = fc.letrec<{ value: Json }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom<Json>(null, true, 12, 84_123_456, 'plain', 'a1#b2$c3%d4', 'x a1%23b2%24c3%25d4 y'),
      fc.array(tie('value'), { maxLength: 5 }) as fc.Arbitrary<Json>,
      fc.dictionary(
        fc.constantFrom('k', 'a1#b2$c3%d4', '__proto__', 'l'),
        tie('value'),
      ) as fc.Arbitrary<Json>,
    ),
  }));
  const mask = createMasker(['a1#b2$c3%d4', '84123456']);

  test('is masked in pieces as it is at once', () => {
    fc.assert(
      fc.property(any, (value) => {
        const { result } = drain(mask.inPieces.value(value));
        expect(result).toEqual(mask.value(value));
        const json = JSON.stringify(result);
        expect(json).not.toMatch(/a1|84123456/);
        expect(drain(mask.inPieces.suspects(JSON.stringify(value))).result).toBe(
          mask.suspects(JSON.stringify(value)),
        );
        if (json === JSON.stringify(value)) expect(result).toBe(value);
      }),
      cases(500),
    );
  });

  test('pauses between its values, and inside of a long one', () => {
    const many = Array.from({ length: 40_000 }, (_, at) => ({ at }));
    expect(drain(mask.inPieces.value(many)).pauses).toBeGreaterThan(8);
    expect(drain(mask.inPieces.value(['%41'.repeat(200_000)])).pauses).toBeGreaterThan(8);
    expect(drain(mask.inPieces.value({ ['%41'.repeat(200_000)]: 1 })).pauses).toBeGreaterThan(8);
  });

  test('of any depth is masked without recursion', () => {
    const deep = JSON.parse(`${'['.repeat(100_000)}"a1#b2$c3%d4"${']'.repeat(100_000)}`) as Json;
    let value = mask.value(deep);
    while (Array.isArray(value)) [value] = value as [Json];
    expect(value).toBe('***');
  });
});
