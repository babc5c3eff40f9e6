import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import type { JsonSchema } from '../../core/json/json.ts';
import { cases } from '../../tests/support/core/cases.ts';
import { checkSchema, createSchemaChecker, createValidator } from './json-schema.ts';

function problems(schema: JsonSchema, value: unknown): string[] {
  return createValidator(schema)(value).map(({ code, pointer }) => `${code} ${pointer}`);
}

function messages(schema: JsonSchema, value: unknown): string[] {
  return createValidator(schema)(value).map(({ message }) => message);
}

function faults(schema: unknown): string[] {
  return checkSchema(schema).map(({ pointer, message }) => `${pointer}: ${message}`);
}

describe('createValidator', () => {
  test('reports every problem with the pointer of its place', () => {
    const schema = {
      type: 'object',
      required: ['id'],
      additionalProperties: false,
      properties: {
        id: { type: 'string' },
        items: { type: 'array', items: { type: 'integer', minimum: 1 } },
      },
    };
    expect(problems(schema, { id: 'a', items: [1, 2] })).toEqual([]);
    expect(problems(schema, { items: [0, 'x'], 'a/b': 1 }).sort()).toEqual([
      'invalid_type /items/1',
      'invalid_value /items/0',
      'missing_field /id',
      'unknown_field /a~1b',
    ]);
  });

  test('says what was found, what is allowed and which name is near', () => {
    const schema = {
      properties: { mode: { enum: ['collect', 'combine'] }, size: { type: 'integer' } },
      additionalProperties: false,
    };
    expect(messages(schema, { mode: 'combin' })).toEqual([
      '"mode" is "combin"; it must be one of "collect", "combine". Did you mean "combine"?',
    ]);
    expect(messages(schema, { size: [] })).toEqual(['"size" is an empty list; it must be a whole number.']);
    expect(messages(schema, { sise: 1 })).toEqual([
      'There is no "sise" here. Did you mean "size"? Known are mode, size.',
    ]);
  });

  test('reports an anyOf once: the branch that fits, or the alternatives', () => {
    const schema = {
      $defs: { id: { type: 'integer' } },
      anyOf: [{ $ref: '#/$defs/id' }, { type: 'array', items: { type: 'string' } }],
    };
    expect(messages(schema, true)).toEqual(['The value is true; it must be a whole number, or a list.']);
    expect(problems(schema, ['a', 1])).toEqual(['invalid_type /1']);
    const two = { oneOf: [{ required: ['a'] }, { required: ['b'] }] };
    expect(messages(two, {})).toHaveLength(1);
    expect(messages(two, { a: 1, b: 2 })[0]).toContain('exactly one of the alternatives');
  });

  test('reports the branch of an if, and not the if', () => {
    const schema = { if: { required: ['a'] }, else: { required: ['b'] } };
    expect(problems(schema, {})).toEqual(['missing_field /b']);
  });

  test('does not take inherited names for properties', () => {
    expect(problems({ required: ['constructor', 'toString'] }, {})).toEqual([
      'missing_field /constructor',
      'missing_field /toString',
    ]);
    expect(problems({ properties: { hasOwnProperty: { type: 'string' } } }, {})).toEqual([]);
    const proto = JSON.parse('{"__proto__": 1}');
    expect(problems({ additionalProperties: false }, proto)).toEqual(['unknown_field /__proto__']);
  });

  test('matches a catastrophic pattern in linear time', () => {
    const schema = { type: 'string', pattern: '^(a+)+$' };
    expect(problems(schema, `${'a'.repeat(100_000)}!`)).toEqual(['invalid_value ']);
    expect(problems(schema, 'a'.repeat(100_000))).toEqual([]);
  });

  test('reads patterns as JavaScript writes them', () => {
    const matching: [string, string][] = [
      ['^\\d{4}-\\d\\d$', '2026-01'],
      ['^(?<year>\\d+)\\/x$', '7/x'],
      ['\\u00e9|\\u{1F600}', 'é'],
      ['^.$', '😀'],
      ['^\\p{Lu}+$', 'ÄÖ'],
      ['[^]', '\n'],
    ];
    for (const [pattern, text] of matching) expect(problems({ pattern }, text)).toEqual([]);
    expect(problems({ pattern: '^a$' }, 'a\n')).toEqual(['invalid_value ']);
    expect(problems({ patternProperties: { '^x-': { type: 'string' } } }, { 'x-a': 1 })).toEqual([
      'invalid_type /x-a',
    ]);
  });

  test('checks the formats it knows and lets others be', () => {
    const cases: [string, string, string][] = [
      ['email', 'a@b.example', 'a@'],
      ['date', '2024-02-29', '2023-02-29'],
      ['date-time', '2024-02-29T10:00:00Z', '2024-02-30T10:00:00Z'],
      ['uri', 'https://a.example/x', 'no uri'],
      ['url', 'https://a.example/x', 'mailto:a@b'],
      ['uuid', '3f2504e0-4f89-41d3-9a0c-0305e82c3301', '3f25'],
      ['ipv4', '10.0.0.1', '10.0.0.256'],
      ['regex', '^a+$', '('],
    ];
    for (const [format, good, bad] of cases) {
      expect(problems({ format }, good)).toEqual([]);
      expect(problems({ format }, bad)).toEqual(['invalid_value ']);
    }
    expect(problems({ format: 'colour' }, 'whatever')).toEqual([]);
  });

  test('answers at once for formats on hostile text', () => {
    const hostile = [`${'a-'.repeat(200_000)}`, `http://${'a.'.repeat(200_000)}`, `${'a@'.repeat(200_000)}`];
    const formats = [
      'email',
      'hostname',
      'uri',
      'uri-reference',
      'uri-template',
      'url',
      'duration',
      'json-pointer',
    ];
    for (const format of formats) for (const text of hostile) createValidator({ format })(text);
  });

  test('gives up on references that multiply', () => {
    const $defs: Record<string, JsonSchema> = { d0: { type: 'integer' } };
    for (let at = 1; at <= 40; at++) {
      const $ref = `#/$defs/d${at - 1}`;
      $defs[`d${at}`] = { allOf: [{ $ref }, { $ref }] };
    }
    const schema = { $defs, $ref: '#/$defs/d40' };
    expect(createValidator(schema)(1)[0]?.message).toContain('too much work');
    expect(faults(schema)).toHaveLength(1);
  });

  test('follows a reference into itself as deep as the value goes', () => {
    const tree = {
      type: 'object',
      properties: { left: { $ref: '#' }, right: { $ref: '#' } },
      additionalProperties: false,
    };
    let value: unknown = {};
    for (let level = 0; level < 500; level++) value = { left: value };
    expect(problems(tree, value)).toEqual([]);
    expect(problems(tree, { left: { right: { up: 1 } } })).toEqual(['unknown_field /left/right/up']);
  });

  test('compares a long list of objects for duplicates without comparing each with each', () => {
    const items = Array.from({ length: 200_000 }, (_, at) => ({ at }));
    expect(problems({ uniqueItems: true }, items)).toEqual([]);
    expect(problems({ uniqueItems: true }, [...items, { at: 0 }])).toEqual(['invalid_value ']);
    expect(
      problems({ uniqueItems: true }, [
        { a: 1, b: 2 },
        { b: 2, a: 1 },
      ]),
    ).toEqual(['invalid_value ']);
    expect(problems({ uniqueItems: true }, [1, '1', true, null])).toEqual([]);
  });

  test('caps the problems of a value, and of a large value gives the first', () => {
    const schema = { items: { type: 'string' } };
    expect(
      problems(
        schema,
        Array.from({ length: 200 }, () => 1),
      ),
    ).toHaveLength(51);
    expect(
      problems(
        schema,
        Array.from({ length: 20_000 }, () => 1),
      ),
    ).toEqual(['invalid_type /0']);
  });

  test('compares values by what they hold', () => {
    const odd = { valueOf: 1, constructor: { a: [1] } };
    expect(problems({ enum: [1, odd] }, structuredClone(odd))).toEqual([]);
    expect(problems({ const: odd }, { ...odd, valueOf: 2 })).toEqual(['invalid_value ']);
    expect(messages({ const: 3 }, 4)).toEqual(['The value is 4; it must be 3.']);
  });

  test('changes no value', () => {
    const value = Object.freeze({ a: '1' });
    expect(problems({ properties: { a: { type: 'integer' }, b: { default: 2 } } }, value)).toEqual([
      'invalid_type /a',
    ]);
    expect(value).toEqual({ a: '1' });
  });

  test('keeps schemas with the same $id apart', () => {
    const text = { $id: 'https://a.example/s', type: 'string' };
    const number = { $id: 'https://a.example/s', type: 'number' };
    expect([problems(text, 1), problems(number, 1)]).toEqual([['invalid_type '], []]);
  });
});

describe('checkSchema', () => {
  test('accepts what JSON Schema 2020-12 allows, unknown keywords included', () => {
    const schemas: unknown[] = [
      true,
      false,
      {},
      { $schema: 'https://json-schema.org/draft/2020-12/schema', type: ['string', 'null'] },
      { prefixItems: [{ type: 'string' }], items: false },
      { $defs: { a: { $anchor: 'x', type: 'string' } }, $ref: '#x' },
      { 'x-widget': 'slider', example: 3 },
      { dependentRequired: { a: ['b'] }, unevaluatedProperties: false },
    ];
    for (const schema of schemas) expect(faults(schema)).toEqual([]);
  });

  test('points to what is wrong', () => {
    expect(faults({ type: 'objekt' })[0]).toStartWith('/type: "type" is "objekt"');
    expect(faults({ type: 'objekt' })[0]).toContain('Did you mean "object"?');
    expect(faults({ properties: { a: { minimum: '1' } } })[0]).toStartWith('/properties/a/minimum: ');
    expect(faults({ required: 'a' })[0]).toStartWith('/required: ');
    expect(faults({ properties: { a: { pattern: '(' } } })[0]).toStartWith('/properties/a/pattern: ');
    expect(faults({ patternProperties: { '(?=a)': { type: 'string' } } })[0]).toMatch(
      /^\/patternProperties\/\(\?=a\): .*look-around/,
    );
    expect(faults({ properties: { a: { $ref: '#/$defs/no' } } })[0]).toStartWith('/properties/a/$ref: ');
    expect(faults({ $schema: 'http://json-schema.org/draft-07/schema#' })[0]).toStartWith('/$schema: ');
    expect(faults({ $async: true })[0]).toStartWith('/$async: ');
    for (const schema of [null, 'x', 3, []]) expect(faults(schema)).toHaveLength(1);
  });

  test('never loads a reference', () => {
    expect(faults({ $ref: 'http://127.0.0.1:1/schema.json' })[0]).toContain('others are not loaded');
  });

  test('refuses a schema that refers to itself without end', () => {
    for (const schema of [
      { $ref: '#' },
      { allOf: [{ $ref: '#' }] },
      { $defs: { a: { $ref: '#/$defs/b' }, b: { $ref: '#/$defs/a' } }, $ref: '#/$defs/a' },
    ]) {
      expect(faults(schema)).toHaveLength(1);
    }
  });

  test('refuses what is too large or too deep to compile', () => {
    const wide = {
      properties: Object.fromEntries(Array.from({ length: 30_000 }, (_, at) => [`p${at}`, true])),
    };
    expect(faults(wide)[0]).toContain('make it smaller');
    let deep: JsonSchema = {};
    for (let level = 0; level < 5_000; level++) deep = { not: deep };
    expect(faults(deep)).toHaveLength(1);
  });

  test('never throws, and what it accepts can be used', () => {
    const keyword = fc.constantFrom(
      'type',
      'items',
      'properties',
      '$ref',
      'allOf',
      'pattern',
      'enum',
      '$id',
      'if',
      '$anchor',
      'not',
    );
    const anything = fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.constantFrom('#', '#a', 'string', '(?=', '\ud800'),
    );
    const { schema } = fc.letrec((tie) => ({
      schema: fc.dictionary(
        keyword,
        fc.oneof({ maxDepth: 4 }, anything, tie('schema'), fc.array(tie('schema'), { maxLength: 2 })),
      ),
    }));
    const property = fc.property(schema, fc.jsonValue({ maxDepth: 3 }), (sample, value) => {
      if (checkSchema(sample).length === 0) createValidator(sample as JsonSchema)(value);
    });
    fc.assert(property, cases(80));
  });
});

describe('createSchemaChecker', () => {
  test('validates with one schema many times', () => {
    const checker = createSchemaChecker();
    const schema = { type: 'integer' };
    for (let run = 0; run < 1_000; run++) expect(checker.validate(schema, run)).toEqual([]);
    expect(checker.validate(schema, 'a')).toHaveLength(1);
    expect(checker.validate(false, 1)).toHaveLength(1);
    expect(checker.validate(true, 1)).toEqual([]);
  });
});

describe('patterns of a schema', () => {
  const large = (count: number) =>
    Array.from({ length: count }, (_, at) => ({ pattern: `${'[a-z0-9]{1,100}'.repeat(10)}${at}` }));

  test('are bounded together, at the first that is too much', () => {
    expect(faults({ anyOf: large(10) })).toEqual([]);
    expect(faults({ anyOf: large(60) })).toEqual([
      expect.stringMatching(/^\/anyOf\/\d\d\/pattern: The pattern cannot be used: .* lower the counts/),
    ]);
    expect(
      faults({ patternProperties: { [`(${'(x|y){1,900}'.repeat(20)})`]: { type: 'string' } } })[0],
    ).toStartWith('/patternProperties/');
  });

  test('count once when they are equal', () => {
    const same = large(1)[0]!;
    expect(faults({ anyOf: Array.from({ length: 100 }, () => same) })).toEqual([]);
  });

  test('go on being matched when they were published before there was a bound', () => {
    const schema = { anyOf: large(60) };
    const checker = createSchemaChecker();
    expect(checker.checkStored(schema)).toEqual([]);
    expect(checker.validate(schema, `${'a'.repeat(10)}59`)).toEqual([]);
    expect(checker.validate(schema, '-')).toHaveLength(1);
  });

  test('that would take long to match are left to a thorough check', () => {
    const schema = { pattern: '^(a{0,40}b{0,40}){20}$' };
    const checker = createSchemaChecker();
    expect(checker.validateBriefly(schema, 'ab')).toEqual([]);
    expect(checker.validateBriefly(schema, 'ab'.repeat(400))).toBeNull();
    expect(checker.validate(schema, 'ab'.repeat(400))).toHaveLength(1);
    expect(checker.validateBriefly({ items: { format: 'regex' } }, Array(100).fill('a{1000}'))).toBeNull();
  });

  test('a large schema is compiled without its patterns', () => {
    const schema = { properties: Object.fromEntries(large(300).map((part, at) => [`p${at}`, part])) };
    expect(createSchemaChecker().validate(schema, { p7: 'aaaaaaaaaa7' })).toEqual([]);
  });
});
