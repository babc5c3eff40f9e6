import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { cases } from '../../tests/support/core/cases.ts';
import { findUnstorable } from './storable.ts';

const DEEP = { maxDepth: 512 };

function nested(levels: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < levels; level++) value = level % 2 === 0 ? [value] : { a: value };
  return value;
}

describe('findUnstorable', () => {
  test('lets every JSON value pass', () => {
    const property = fc.property(fc.jsonValue({ maxDepth: 8 }), (value) => {
      expect(findUnstorable(value, DEEP)).toBeNull();
    });
    fc.assert(property, cases(200));
  });

  test('names the place of a NUL character, a lone surrogate and a number without an end', () => {
    expect(findUnstorable({ a: [1, { 'b/c': 'x\0y' }] }, DEEP)).toMatchObject({
      pointer: '/a/1/b~1c',
      kind: 'text',
    });
    expect(findUnstorable(['ok', '\ud800'], DEEP)).toMatchObject({ pointer: '/1', kind: 'text' });
    expect(findUnstorable('\udc00\ud800', DEEP)).toMatchObject({ pointer: '', kind: 'text' });
    expect(findUnstorable({ a: Number.NaN }, DEEP)).toMatchObject({ pointer: '/a', kind: 'number' });
    expect(findUnstorable(-Infinity, DEEP)).toMatchObject({ pointer: '', kind: 'number' });
  });

  test('lets a pair of surrogates pass', () => {
    expect(findUnstorable({ '😀': '😀' }, DEEP)).toBeNull();
  });

  test('names the object that has a bad key', () => {
    const found = findUnstorable({ a: [0, { ok: 1, 'k\0': 1 }] }, DEEP);
    expect(found).toMatchObject({ pointer: '/a/1', reason: 'has a key that holds a NUL character (U+0000)' });
    expect(findUnstorable({ '\udfff': 1 }, DEEP)).toMatchObject({ pointer: '', kind: 'text' });
  });

  test('counts the depth exactly', () => {
    expect(findUnstorable(nested(512), DEEP)).toBeNull();
    expect(findUnstorable(nested(513), DEEP)).toMatchObject({ kind: 'depth' });
    expect(findUnstorable(1, { maxDepth: 0 })).toBeNull();
    expect(findUnstorable([], { maxDepth: 0 })).toMatchObject({ pointer: '', kind: 'depth' });
  });

  test('does not overflow on a value of a million levels', () => {
    expect(findUnstorable(nested(1_000_000), { maxDepth: 900_000 })).toMatchObject({ kind: 'depth' });
    expect(findUnstorable(nested(1_000_000), { maxDepth: 1_000_000 })).toBeNull();
  });

  test('tells a value that refers to itself', () => {
    const value: Record<string, unknown> = { a: { b: [] } };
    value.c = { up: value };
    expect(findUnstorable(value, DEEP)).toMatchObject({ kind: 'cycle', pointer: '/c/up' });
  });

  test('says which type JSON does not have', () => {
    const cases: [unknown, string][] = [
      [undefined, 'undefined'],
      [10n, 'bigint'],
      [() => 1, 'function'],
      [Symbol('s'), 'symbol'],
      [new Date(0), 'Date'],
      [new Map(), 'Map'],
      [new Uint8Array(2), 'Uint8Array'],
      [new (class Order {})(), 'Order'],
    ];
    for (const [value, name] of cases) {
      expect(findUnstorable(value, DEEP)).toMatchObject({ pointer: '', kind: 'type' });
      expect(findUnstorable(value, DEEP)?.reason).toContain(name);
    }
    expect(findUnstorable({ a: new Date(0) }, DEEP)).toMatchObject({ pointer: '/a', kind: 'type' });
    expect(findUnstorable({ toJSON: () => 1 }, DEEP)).toMatchObject({ pointer: '/toJSON', kind: 'type' });
  });

  test('refuses raw JSON, whose digits no double may hold', () => {
    const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown };
    expect(findUnstorable({ id: rawJSON('9007199254740993') }, DEEP)).toMatchObject({
      pointer: '/id',
      kind: 'type',
    });
  });

  test('counts the members of all objects', () => {
    const tally = { members: 0 };
    expect(findUnstorable([{ a: 1, b: { c: [] } }, {}, 'a:b'], DEEP, tally)).toBeNull();
    expect(tally).toEqual({ members: 3 });
  });

  test('takes an undefined member as absent and an undefined item as null, as JSON.stringify does', () => {
    const value = { a: undefined, b: [undefined, 1] };
    const text = JSON.stringify(value);
    expect(text).toBe('{"b":[null,1]}');
    expect(findUnstorable(value, { maxDepth: 2, maxBytes: text.length })).toBeNull();
    expect(findUnstorable(value, { maxDepth: 2, maxBytes: text.length - 1 })).toMatchObject({ kind: 'size' });
  });

  test('lets objects without a prototype and names of inherited members pass', () => {
    const bare = Object.assign(Object.create(null), { a: 1 });
    expect(findUnstorable(bare, DEEP)).toBeNull();
    expect(findUnstorable(JSON.parse('{"__proto__":{"constructor":1},"toString":2}'), DEEP)).toBeNull();
    expect(findUnstorable(JSON.parse('{"__proto__":{"a":"\\u0000"}}'), DEEP)).toMatchObject({
      pointer: '/__proto__/a',
    });
  });

  test('counts bytes exactly as JSON.stringify writes them', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 12 }).filter((value) => !value.includes('\0'));
    const escapes = fc.constantFrom('\n"\\', '\u0001', 'é', '😀', '\t\b\f\r');
    const value = fc.jsonValue({ maxDepth: 5 });
    const property = fc.property(fc.tuple(value, fc.dictionary(text, escapes)), (sample) => {
      const bytes = Buffer.byteLength(JSON.stringify(sample));
      expect(findUnstorable(sample, { maxDepth: 64, maxBytes: bytes })).toBeNull();
      expect(findUnstorable(sample, { maxDepth: 64, maxBytes: bytes - 1 })).toMatchObject({ kind: 'size' });
    });
    fc.assert(property, cases(200));
  });

  test('stops at the size cap of a value that shares its parts', () => {
    let value: unknown = ['lol'];
    for (let level = 0; level < 60; level++) value = [value, value];
    expect(findUnstorable(value, { maxDepth: 512, maxBytes: 100_000 })).toMatchObject({ kind: 'size' });
  });

  test('never throws', () => {
    const anything = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withNullPrototype: true,
    });
    fc.assert(
      fc.property(anything, (value) => {
        if (findUnstorable(value, DEEP) === null) expect(typeof JSON.stringify(value)).toBe('string');
      }),
      cases(300),
    );
  });
});
