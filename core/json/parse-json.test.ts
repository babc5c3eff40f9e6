import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { EngineError } from '../problem.ts';
import { isDeeperThan, scanJson } from './json-scan.ts';
import { parseJson, parseUniqueJson } from './parse-json.ts';

const LIMITS = { maxDepth: 64 };

function refusal(act: () => unknown): EngineError {
  try {
    act();
  } catch (error) {
    if (error instanceof EngineError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('parseJson', () => {
  test('gives back what was written', () => {
    const property = fc.property(fc.jsonValue(), fc.constantFrom(0, 2), (value, indent) => {
      const text = JSON.stringify(value, null, indent);
      expect(parseJson(text, LIMITS)).toEqual(JSON.parse(text));
      expect(parseUniqueJson(text, LIMITS)).toEqual(JSON.parse(text));
    });
    fc.assert(property, { numRuns: 200 });
  });

  test('names line and column of a syntax error', () => {
    const cases: [string, string][] = [
      ['', 'line 1, column 1, a value is missing'],
      ['{\n  "a": 1\n  "b": 2\n}', 'line 3, column 3, a comma or "}" is missing'],
      ['{"a": 1,}', 'line 1, column 9, a key in double quotes is missing'],
      ['[1, 2,]', 'line 1, column 7, a value is missing'],
      ['{"a" 1}', 'line 1, column 6, a colon is missing'],
      ['["a\nb"]', 'a control character in a string must be escaped'],
      ['["\\x"]', 'an escape in a string'],
      ['["abc', 'the text ends too early'],
      ['[1] 2', 'line 1, column 5, there is something after the end'],
      ['[01]', 'line 1, column 3, a comma or "]" is missing'],
      ["{'a': 1}", 'a key in double quotes is missing'],
      ['[1}', 'a comma or "]" is missing'],
    ];
    for (const [text, message] of cases) {
      const error = refusal(() => parseJson(text, LIMITS));
      expect(error.code).toBe('malformed_json');
      expect(error.message).toContain(message);
    }
  });

  test('refuses ten thousand levels, closed or not, without overflowing', () => {
    for (const text of [
      '['.repeat(10_000),
      '['.repeat(10_000) + ']'.repeat(10_000),
      '{"a":'.repeat(1_000_000),
    ]) {
      const error = refusal(() => parseJson(text, { maxDepth: 512 }));
      expect(error.code).toBe('not_storable');
      expect(error.problems[0]?.code).toBe('too_deep');
    }
  });

  test('does not count brackets inside strings', () => {
    expect(parseJson(JSON.stringify({ a: `"\\${'['.repeat(9_999)}` }), { maxDepth: 1 })).toBeObject();
  });

  test('refuses what the database cannot keep, with its place', () => {
    for (const [text, pointer] of [
      ['{"a":["\\u0000"]}', '/a/0'],
      ['{"a":"\\ud800"}', '/a'],
      ['{"a":{"\\udc00":1}}', '/a'],
      ['{"a":1e400}', '/a'],
    ] as const) {
      const error = refusal(() => parseJson(text, LIMITS));
      expect(error.code).toBe('not_storable');
      expect(error.problems[0]?.pointer).toBe(pointer);
    }
  });

  test('keeps a key named __proto__ as data', () => {
    const value = parseJson('{"__proto__":{"admin":true}}', LIMITS) as Record<string, unknown>;
    expect(Object.hasOwn(value, '__proto__')).toBeTrue();
    expect(value.admin).toBeUndefined();
  });

  test('takes the last of two equal keys, and parseUniqueJson refuses them', () => {
    const text = '{"a":{"k":1,\n"\\u006b":2}}';
    expect(parseJson(text, LIMITS)).toEqual({ a: { k: 2 } });
    const error = refusal(() => parseUniqueJson(text, LIMITS));
    expect(error.code).toBe('malformed_json');
    expect(error.message).toContain('line 2, column 1, the key "k" is there twice');
  });
});

describe('scanJson', () => {
  test('agrees with JSON.parse on damaged JSON', () => {
    const damaged = fc.tuple(fc.json(), fc.nat(), fc.string({ maxLength: 2 })).map(([text, at, insert]) => {
      const place = at % (text.length + 1);
      return text.slice(0, place) + insert + text.slice(place + (at % 3));
    });
    const property = fc.property(damaged, (text) => {
      const fault = scanJson(text, 1_000);
      if (fault?.kind === 'duplicate_key') return;
      let parses = true;
      try {
        JSON.parse(text);
      } catch {
        parses = false;
      }
      expect(fault === null).toBe(parses);
    });
    fc.assert(property, { numRuns: 500 });
  });

  test('does not overflow on a million levels', () => {
    const text = '['.repeat(1_000_000) + ']'.repeat(1_000_000);
    expect(scanJson(text, 2_000_000)).toBeNull();
    expect(scanJson(text, 1_000)).toMatchObject({ kind: 'depth', offset: 1_000 });
    expect(isDeeperThan(text, 999_999)).toBeTrue();
    expect(isDeeperThan(text, 1_000_000)).toBeFalse();
  });
});
