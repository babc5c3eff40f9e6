import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { cases } from '../../tests/support/core/cases.ts';
import { canonicalJson, definitionFingerprint } from './canonical.ts';

/** The same value with the keys of every object in another order. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, item]) => [key, reversed(item)]),
  );
}

describe('canonicalJson', () => {
  test('is JSON of the same value', () => {
    const property = fc.property(fc.jsonValue(), (value) => {
      expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
    });
    fc.assert(property, cases(100));
  });

  test('is the same whatever the order of keys', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) =>
        expect(canonicalJson(reversed(value))).toBe(canonicalJson(value)),
      ),
      cases(100),
    );
  });

  test('sorts by UTF-16 units and writes numbers as JavaScript does', () => {
    expect(canonicalJson({ '😀': 1, '\uFB33': 2, b: 1e21, a: -0, '10': 1, '9': 2 })).toBe(
      '{"10":1,"9":2,"a":0,"b":1e+21,"😀":1,"\uFB33":2}',
    );
  });

  test('tells apart what differs', () => {
    for (const [a, b] of [
      [
        [1, 2],
        [2, 1],
      ],
      [{ a: null }, {}],
      ['1', 1],
      [[], {}],
      [{ a: { b: 1 } }, { a: { b: 2 } }],
    ]) {
      expect(canonicalJson(a)).not.toBe(canonicalJson(b));
    }
  });

  test('takes undefined as JSON.stringify does', () => {
    expect(canonicalJson({ b: undefined, a: [undefined, 1] })).toBe('{"a":[null,1]}');
    expect(canonicalJson(undefined)).toBe('null');
  });

  test('keeps a key named __proto__', () => {
    expect(canonicalJson(JSON.parse('{"b":1,"__proto__":{"x":1}}'))).toBe('{"__proto__":{"x":1},"b":1}');
  });

  test('does not overflow on a value of a hundred thousand levels', () => {
    let value: unknown = 1;
    for (let level = 0; level < 100_000; level++) value = [value];
    expect(canonicalJson(value)).toHaveLength(200_001);
  });
});

describe('definitionFingerprint', () => {
  const definition = {
    name: 'order',
    steps: { b: { type: 'noop', with: { x: 1, y: 2 } }, a: { type: 'noop' } },
  };

  test('is the same for other orders of keys', () => {
    const same = { steps: { b: { with: { y: 2, x: 1 }, type: 'noop' }, a: { type: 'noop' } }, name: 'order' };
    expect(definitionFingerprint(same)).toBe(definitionFingerprint(definition));
    expect(definitionFingerprint(definition)).toMatch(/^[0-9a-f]{64}$/);
  });

  test('changes with the order of steps, also in a scope of its own', () => {
    const { a, b } = definition.steps;
    expect(definitionFingerprint({ ...definition, steps: { a, b } })).not.toBe(
      definitionFingerprint(definition),
    );
    const scope = (steps: object) => ({ steps: { each: { type: 'foreach', with: { items: [], steps } } } });
    expect(definitionFingerprint(scope({ a, b }))).not.toBe(definitionFingerprint(scope({ b, a })));
  });

  test('does not change with the order of keys in data that is named steps', () => {
    const body = (steps: object) => ({ steps: { a: { type: 'http', with: { body: { steps } } } } });
    expect(definitionFingerprint(body({ x: 1, y: 2 }))).toBe(definitionFingerprint(body({ y: 2, x: 1 })));
  });
});
