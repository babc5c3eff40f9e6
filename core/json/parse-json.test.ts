import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { cases } from '../../tests/support/core/cases.ts';
import { EngineError } from '../problem.ts';
import { isExactNumber } from './exact-number.ts';
import { scanJson } from './json-scan.ts';
import { quoteInexactNumbers, surveyJson } from './json-survey.ts';
import { parseJson } from './parse-json.ts';

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
    });
    fc.assert(property, cases(200));
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

  test('refuses a name that is there twice in one object, at every depth and however it is written', () => {
    for (const [text, place] of [
      ['{"a":1,"a":1}', 'line 1, column 8'],
      ['{"a":{"k":1,\n"\\u006b":2}}', 'line 2, column 1'],
      ['[[{"b":0},{"a":{},"b":[],"a":"x"}]]', 'line 1, column 26'],
      ['{"__proto__":1,"__proto__":2}', 'line 1, column 16'],
      [`${'[{"a":'.repeat(30)}{"k":0,"k":0}${'}]'.repeat(30)}`, 'line 1, column 188'],
    ] as const) {
      const error = refusal(() => parseJson(text, LIMITS));
      expect(error.code).toBe('malformed_json');
      expect(error.message).toContain(place);
      expect(error.message).toContain('is there twice');
    }
  });

  test('takes the same name in several objects', () => {
    const property = fc.property(fc.jsonValue(), fc.jsonValue(), (one, other) => {
      const value = [{ a: one }, { a: { a: other }, ':': '":"' }];
      expect(parseJson(JSON.stringify(value), LIMITS)).toEqual(JSON.parse(JSON.stringify(value)));
    });
    fc.assert(property, cases(100));
  });

  test('finds one name twice among two hundred thousand', () => {
    const names = Array.from({ length: 200_000 }, (_, index) => `"k${index}":0`);
    const error = refusal(() => parseJson(`{${names.join()},"k77":0}`, LIMITS));
    expect(error.message).toContain('the key "k77" is there twice');
  });

  test('refuses every number that is not exact, with its place', () => {
    const text =
      '{"a":[1,9007199254740993],"b/c":{"d":[{"e":[0,[-12345678901234567890.0]]}]},"f":1e400,"g":"9007199254740993"}';
    const error = refusal(() => parseJson(text, LIMITS));
    expect(error.code).toBe('number_not_exact');
    expect(error.problems.map(({ pointer }) => pointer)).toEqual(['/a/1', '/b~1c/d/0/e/1/0', '/f']);
    expect(error.message).toContain('At /a/1: The number 9007199254740993 ');
    expect(refusal(() => parseJson('9007199254740993', LIMITS)).problems[0]?.pointer).toBe('');
  });

  test('takes a number or refuses it by the one rule, wherever it stands', () => {
    const digits = fc.stringMatching(/^-?[1-9][0-9]{0,20}(\.[0-9]{1,4})?(e[+-]?[0-9]{1,2})?$/);
    const property = fc.property(digits, fc.nat(2), (literal, shape) => {
      const text = [literal, `[0,${literal} ]`, `{"a":0,"b":[{"c":${literal}}]}`][shape]!;
      const read = () => parseJson(text, LIMITS);
      if (isExactNumber(literal)) expect(read()).toEqual(JSON.parse(text));
      else expect(refusal(read).problems).toMatchObject([{ pointer: ['', '/1', '/b/0/c'][shape]! }]);
    });
    fc.assert(property, cases(1_000));
  });

  test('shows a hundred numbers of many, and only the start of a long one', () => {
    const many = refusal(() => parseJson(`[${'1e400,'.repeat(100_000)}0]`, LIMITS));
    expect(many.problems).toHaveLength(100);
    const name = 'n'.repeat(1_000_000);
    const long = refusal(() => parseJson(`{"${name}":[1e400,1e400]}`, LIMITS));
    expect(long.problems).toHaveLength(1);
    expect(refusal(() => parseJson(`1${'0'.repeat(1_000_000)}`, LIMITS)).message.length).toBeLessThan(300);
  });
});

describe('quoteInexactNumbers', () => {
  test('makes text of what is not exact and leaves the rest', () => {
    const text =
      '{ "a" : [9007199254740993, 1.10,-1e400], "9007199254740993": "9007199254740993 \\" 1e400" }';
    const quoted = quoteInexactNumbers(text, surveyJson(text, 64));
    expect(JSON.parse(quoted)).toEqual({
      a: ['9007199254740993', 1.1, '-1e400'],
      '9007199254740993': '9007199254740993 " 1e400',
    });
  });

  test('leaves what JSON.stringify writes', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = JSON.stringify(value);
        expect(quoteInexactNumbers(text, surveyJson(text, 64))).toBe(text);
      }),
      cases(100),
    );
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
    fc.assert(property, cases(500));
  });

  test('does not overflow on a million levels', () => {
    const text = '['.repeat(1_000_000) + ']'.repeat(1_000_000);
    expect(scanJson(text, 2_000_000)).toBeNull();
    expect(scanJson(text, 1_000)).toMatchObject({ kind: 'depth', offset: 1_000 });
    expect(surveyJson(text, 999_999).isTooDeep).toBeTrue();
    expect(surveyJson(text, 1_000_000).isTooDeep).toBeFalse();
  });
});
