import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { EngineError } from '../core/problem.ts';
import { cases } from '../tests/support/core/cases.ts';
import { type DocumentFormat, parseDocument } from './document.ts';

const LIMITS = { maxDepth: 64, maxBytes: 1_000_000 };

function yaml(text: string): unknown {
  return parseDocument(text, 'yaml', LIMITS);
}

function refusal(text: string, format: DocumentFormat = 'yaml', limits = LIMITS): string {
  try {
    parseDocument(text, format, limits);
  } catch (error) {
    if (error instanceof EngineError) return `${error.code}: ${error.message}`;
    throw error;
  }
  throw new Error('nothing was thrown');
}

/** Pointers of the values for which a text is refused. */
function problemsOf(read: () => unknown): string[] {
  try {
    read();
    return [];
  } catch (error) {
    return (error as EngineError).problems.map(({ pointer }) => pointer);
  }
}

describe('a YAML definition', () => {
  test('gives the same document as its JSON', () => {
    const keys = fc.stringMatching(/^[a-z_][a-z0-9_]{0,8}$/);
    const { node } = fc.letrec((tie) => ({
      node: fc.oneof(
        { maxDepth: 4 },
        fc.constantFrom(null, true, 1, -2.5, 'yes', '1', '2024-01-01', 'a: b', '${{ x }}'),
        fc.dictionary(keys, tie('node')),
        fc.array(tie('node'), { maxLength: 3 }),
      ),
    }));
    const property = fc.property(node, (value) => {
      const plain = JSON.parse(JSON.stringify(value));
      expect(yaml(stringify(plain))).toEqual(plain);
      expect(yaml(JSON.stringify(plain))).toEqual(plain);
      expect(parseDocument(JSON.stringify(plain), 'json', LIMITS)).toEqual(plain);
    });
    fc.assert(property, cases(100));
  });

  test('is read as YAML 1.2: on, yes and dates are text, whatever its directive says', () => {
    const text = 'on: yes\ndate: 2024-01-01\noctal: 010\n';
    expect(yaml(text)).toEqual({ on: 'yes', date: '2024-01-01', octal: 10 });
    expect(yaml(`%YAML 1.1\n---\n${text}`)).toEqual({ on: 'yes', date: '2024-01-01', octal: 10 });
  });

  test('may share blocks with anchors, and merge keys mean nothing', () => {
    const steps = Array.from({ length: 300 }, (_, at) => `s${at}: { retry: *r }`).join('\n');
    const value = yaml(`x: &r { limit: 3 }\n${steps}`) as Record<string, unknown>;
    expect(value.s299).toEqual({ retry: { limit: 3 } });
    expect(yaml('a: &a { x: 1 }\nb: { <<: *a }')).toEqual({ a: { x: 1 }, b: { '<<': { x: 1 } } });
  });

  test('refuses every number that is not exact, with its place', () => {
    const text = `
a: [1, 9007199254740993]
b/c: { d: 0x20000000000001, e: 0o400000000000000001 }
big: &big 1e400
again: *big
text: "9007199254740993"
same: [9007199254740992, 1e23, 1.10, 010, -0]
tagged: !!int "12345678901234567890"
block:
  - - +9007199254740993
`;
    const read = () => yaml(text);
    expect(read).toThrow(expect.objectContaining({ code: 'number_not_exact' }));
    expect(problemsOf(read)).toEqual(['/a/1', '/b~1c/d', '/b~1c/e', '/big', '/tagged', '/block/0/0']);
    expect(problemsOf(() => parseDocument('{"steps":{"a":9007199254740993}}', 'json', LIMITS))).toEqual([
      '/steps/a',
    ]);
  });

  test('refuses a number exactly when JSON does', () => {
    const literal = fc.stringMatching(/^-?[1-9][0-9]{0,20}(\.[0-9]{1,4})?(e[+-]?[0-9]{1,2})?$/);
    const property = fc.property(literal, (number) => {
      const refused = (format: DocumentFormat) =>
        problemsOf(() => parseDocument(`{"a":[${number}]}`, format, LIMITS));
      expect(refused('yaml')).toEqual(refused('json'));
    });
    fc.assert(property, cases(500));
  });

  test('reads a list of a hundred thousand', () => {
    expect(yaml(`[${'1,'.repeat(100_000)}]`)).toHaveLength(100_000);
  });

  test('keeps the order of its steps, and odd keys as data', () => {
    expect(Object.keys(yaml('b: 1\na: 2\nconstructor: 3') as object)).toEqual(['b', 'a', 'constructor']);
    const value = yaml('__proto__: { admin: true }\ntoString: 1') as Record<string, unknown>;
    expect(Object.hasOwn(value, '__proto__')).toBeTrue();
    expect(value.admin).toBeUndefined();
    expect(yaml('1: a\ntrue: b\n')).toEqual({ '1': 'a', true: 'b' });
  });

  test('names line and column of what is wrong', () => {
    expect(refusal('a: 1\nb: [1, 2\n')).toMatch(/^malformed_yaml: .*line \d, column \d+/);
    expect(refusal('a: 1\nb:\n  c: 1\n b2: 2')).toContain('malformed_yaml: ');
    expect(refusal('a: 1\nb: 2\na: 3')).toContain('line 3, column 1, the key "a" is there twice');
    expect(refusal('a: 1\n"a": 3')).toContain('line 2, column 1, the key "a" is there twice');
    expect(refusal('a: { b: 1, b: 2 }')).toContain('line 1, column 12, the key "b" is there twice');
    expect(refusal('a: 1\n---\nb: 2')).toContain('a second document begins');
    expect(refusal('a: *nowhere')).toContain('malformed_yaml: ');
    expect(refusal('a: !!js/function "x"')).toContain('malformed_yaml: ');
    expect(refusal('a: !!binary "aGk="')).toContain('malformed_yaml: ');
    expect(refusal('? [a, b]\n: 1')).toContain('malformed_yaml: ');
  });

  test('refuses what is not JSON', () => {
    expect(refusal('a: .nan')).toStartWith('not_storable: ');
    expect(refusal('a: [.inf, -.inf]')).toContain('/a/0');
    expect(refusal('a: "\\0"')).toContain('NUL');
    expect(refusal('a: "\\ud800"')).toStartWith('not_storable: ');
    expect(refusal('a: &a [*a]')).toMatch(/^(not_storable|malformed_yaml): /);
    expect(refusal('a: &a { b: { c: *a } }')).toMatch(/^(not_storable|malformed_yaml): /);
  });

  test('refuses alias bombs before they are expanded', () => {
    const levels = Array.from({ length: 30 }, (_, at) => `a${at + 1}: &a${at + 1} [${`*a${at},`.repeat(9)}]`);
    expect(refusal(`a0: &a0 lol\n${levels.join('\n')}`)).toMatch(/^(not_storable|malformed_yaml): /);
    const long = `a: &a "${'x'.repeat(2_000)}"\nb: [${'*a,'.repeat(900)}]`;
    expect(refusal(long)).toContain('not_storable: ');
  });

  test('refuses ten thousand levels of any kind without overflowing', () => {
    const indented = Array.from({ length: 1_300 }, (_, at) => `${' '.repeat(at)}a:`).join('\n');
    const deep = [
      '['.repeat(10_000),
      '['.repeat(10_000) + ']'.repeat(10_000),
      '{a: '.repeat(10_000),
      '- '.repeat(10_000),
      '? '.repeat(10_000),
      '[a, {b: '.repeat(10_000),
      indented,
    ];
    for (const text of deep) expect(refusal(text)).toMatch(/^malformed_yaml: .*levels deep/);
    const chained = Array.from(
      { length: 20 },
      (_, at) => `a${at}: &a${at} ${'['.repeat(10)}${at === 0 ? '' : `*a${at - 1}`}${']'.repeat(10)}`,
    );
    expect(refusal(chained.join('\n'))).toContain('not_storable: ');
  });

  test('finds a double key among many without comparing each with each', () => {
    const keys = Array.from({ length: 40_000 }, (_, at) => `k${at}: 1`);
    expect(Object.keys(yaml(keys.join('\n')) as object)).toHaveLength(40_000);
    expect(refusal([...keys, 'k7: 2'].join('\n'))).toContain('line 40001, column 1');
  });

  test('throws nothing but an EngineError', () => {
    const piece = fc.constantFrom(
      'a',
      ': ',
      '- ',
      '[',
      ']',
      '{',
      '}',
      ',',
      '\n',
      '\n  ',
      '&x ',
      '*x',
      '!t ',
      '"',
      "'",
      '#',
      '|\n',
      '%YAML 9\n',
      '---\n',
      '...\n',
      '? ',
      '\t',
      '\0',
      '\ud800',
      '<<',
      '!!',
      '>-\n',
    );
    const property = fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
      try {
        yaml(pieces.join(''));
      } catch (error) {
        expect(error).toBeInstanceOf(EngineError);
      }
    });
    fc.assert(property, cases(500));
  });
});

describe('a JSON definition', () => {
  test('may begin with a byte order mark', () => {
    expect(parseDocument('\uFEFF{"a":1}', 'json', LIMITS)).toEqual({ a: 1 });
  });

  test('is refused with a key that is there twice', () => {
    expect(refusal('{"steps":{"a":1,"a":2}}', 'json')).toContain(
      'line 1, column 17, the key "a" is there twice',
    );
  });

  test('is refused above the size cap, counted in bytes', () => {
    const limits = { maxDepth: 4, maxBytes: 12 };
    expect(refusal('{"a":"éééé"}', 'json', limits)).toContain('body_too_large: The definition has 16 bytes');
    expect(parseDocument('{"a":"eeee"}', 'json', limits)).toEqual({ a: 'eeee' });
  });

  test('names the place of a syntax error', () => {
    expect(refusal('{"a": 1,\n}', 'json')).toStartWith(
      'malformed_json: This is not valid JSON: at line 2, column 1',
    );
  });
});
