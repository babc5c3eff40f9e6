import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import type { Json, JsonSchema } from '../../core/json/json.ts';
import { checkSchema, createValidator } from '../../definition/schema/json-schema.ts';
import { looseSchema } from '../../definition/schema/loose-schema.ts';
import { cases } from '../support/core/cases.ts';
import { errorsOf, readSteps, warningsOf } from './reading.ts';

const url = 'https://a.example/';
const params = (type: string, value?: unknown) =>
  errorsOf(readSteps({ a: { type, ...(value === undefined ? {} : { with: value }) } }));

describe('the parameters of a step', () => {
  test('are held against the schema of its type', () => {
    const { errors } = readSteps({ a: { type: 'http', with: { ur: url, method: 'GTE', timeout: 'soon' } } });
    expect(errors.map(({ code, pointer }) => `${code} ${pointer}`).sort()).toEqual([
      'invalid_params /steps/a/with/method',
      'invalid_params /steps/a/with/timeout',
      'invalid_params /steps/a/with/ur',
      'invalid_params /steps/a/with/url',
    ]);
    expect(errors.find(({ pointer }) => pointer.endsWith('/ur'))?.message).toContain('Did you mean "url"?');
  });

  test('are required also where there is no with', () => {
    expect(params('http')).toEqual(['invalid_params /steps/a/with/url']);
    expect(params('noop')).toEqual([]);
    expect(params('delay')).toEqual(['invalid_params /steps/a/with']);
  });

  test('may be expressions wherever a value is described', () => {
    const e = '${{ input.x }}';
    expect(
      params('http', {
        url: e,
        method: e,
        timeout: e,
        expect: [e, 200],
        headers: { a: e },
        query: e,
        followRedirects: e,
      }),
    ).toEqual([]);
    expect(params('http', { url: `https://a.example/${e}`, expect: `${e}` })).toEqual([]);
    expect(params('delay', { for: e })).toEqual([]);
    expect(params('switch', { cases: [{ route: 'x', when: e }], multiple: e })).toEqual([]);
    expect(params('script', { code: 'return 1', timeout: e, memory: e })).toEqual([]);
    expect(params('merge', { mode: e })).toEqual([]);
  });

  test('are refused where they fit the schema and can only fail', () => {
    for (const until of ['2027-02-30T00:00:00Z', '2020-02-30', '2027-01-31T24:00:00Z', 'soon', 1e300])
      expect(params('delay', { until })).toEqual(['invalid_params /steps/a/with/until']);
    expect(params('delay', { for: '99999999d' })).toEqual(['invalid_params /steps/a/with/for']);
    expect(params('script', { code: 'return 1', timeout: '0s', memory: '0mb' })).toEqual([
      'invalid_params /steps/a/with/timeout',
      'invalid_params /steps/a/with/memory',
    ]);
    for (const until of ['2024-02-29', '2027-02-28T00:00:00+01:00', 0, '${{ input.x }}', 'x${{ input.x }}'])
      expect(params('delay', { until })).toEqual([]);
  });

  test('of http are refused where no call could be made with them', () => {
    const http = (more: object) =>
      params('http', { url, ...more }).map((found) => found.split(' /steps/a/with')[1]);
    const e = '${{ input.x }}';
    for (const bad of [
      'stock.example/a',
      '/a',
      'a',
      '//a.example',
      'ftp://a.example',
      'mailto:a@b',
      'https://',
      `a.example/${e}`,
    ])
      expect(http({ url: bad })).toEqual(['/url']);
    for (const bad of [
      'https://user:pass@a.example',
      'https://user@a.example',
      `ftp://${e}`,
      `/items/${e}`,
      `ht tp://${e}`,
    ])
      expect(http({ url: bad })).toEqual(['/url']);
    for (const good of [
      'https://a.example',
      'HTTP://a.example:80/?q=1#x',
      e,
      `${e}/items`,
      `https://${e}`,
      `http${e}`,
      ` https://a.example/${e}`,
    ])
      expect(http({ url: good })).toEqual([]);
    for (const name of ['Host', 'content-length', 'Connection', 'TE', 'a b', 'a:', 'ä', '', '${{ input.x }}'])
      expect(http({ headers: { [name]: e } })).toEqual([`/headers/${name}`]);
    expect(http({ headers: { a: 'b\nc', d: ['x', 'y\r'], e: 'ok', f: null } })).toEqual(['/headers/f']);
    expect(http({ headers: { a: 'b\nc', d: ['x', 'y\r'], e: 'ok', f: '中' } })).toEqual([
      '/headers/a',
      '/headers/d',
      '/headers/f',
    ]);
    expect(http({ headers: { 'X-A': '1', 'x-a': e, 'X-B': '2' } })).toEqual(['/headers/x-a']);
    expect(http({ headers: e, timeout: '0s', expect: [200, '300-299', '299-299'] })).toEqual([
      '/timeout',
      '/expect',
    ]);
    expect(
      http({ headers: { 'X-A': ['1', e], 'Idempotency-Key': 'k' }, query: { a: null }, expect: e }),
    ).toEqual([]);
  });

  test('keep what is secret in a url out of the message', () => {
    const { errors } = readSteps({ a: { type: 'http', with: { url: 'https://user:hunter2@a.example' } } });
    expect(errors[0]!.message).not.toContain('hunter2');
    expect(errors[0]!.message).toContain('Authorization');
  });

  test('that look like expressions of another language are warned of', () => {
    const value = {
      a: 'hello {{ input.name }}',
      b: ['${input.x}', '{{steps.a.output}} and ${{ input.y }}', 'x ${ secrets.T }'],
      c: '{{$input.x}}',
      fine: [
        '${{ {a: {b: input.x}} }}',
        '{{ name }}',
        '{{inputs_of}}',
        '$input.x',
        '{ input.x }',
        '${{ `${input.x}` }}',
      ],
    };
    const found = readSteps(
      {
        a: { type: 'noop', with: value, concurrency: { key: 'k-{{ input.t }}', limit: 1 } },
        b: { type: 'script', with: { code: 'return `${input.x}`', input: '{{ input }}' } },
      },
      { output: { o: '{{ steps.a.output }}' } },
    );
    expect(errorsOf(found)).toEqual([]);
    expect(warningsOf(found)).toEqual([
      'literal_expression /steps/a/with/a',
      'literal_expression /steps/a/with/b/0',
      'literal_expression /steps/a/with/b/1',
      'literal_expression /steps/a/with/b/2',
      'literal_expression /steps/a/with/c',
      'literal_expression /steps/a/concurrency/key',
      'literal_expression /steps/b/with/input',
      'literal_expression /output/o',
    ]);
    expect(found.warnings[0]!.message).toContain('${{ input.x }}');
  });

  test.each([
    ['to {{ input.email }} now', '{{ input.email }}'],
    ['{{ steps.a.output["b"] | upper }}', '{{ steps.a.output["b"] | upper }}'],
    ['a ${input.x ?? 1} b', '${input.x ?? 1}'],
    ['{{ input.x and no end', '{{ input.x and no end'],
  ])('of another language in %p are quoted whole', (text, quoted) => {
    const [warning] = readSteps({ a: { type: 'noop', with: { text } } }).warnings;
    expect(warning!.message).toStartWith(`${JSON.stringify(quoted)} is plain text`);
  });

  test.each([
    [
      { for: 's30' },
      '"for" is "s30"; it must be a whole number, or text such as "250ms", "30s", "5m", "2h" or "1d".',
    ],
    [{ until: 'soon' }, 'text such as "2030-01-31T09:00:00+01:00" or "2030-01-31".'],
    [{ for: '1s', until: '2030-01-31' }, 'it must be an object with only one of for, until.'],
    [{}, 'it must be an object with one of for, until.'],
  ])('of a delay with %p are refused with what is right', (value, message) => {
    expect(readSteps({ a: { type: 'delay', with: value } }).errors[0]!.message).toEndWith(message);
  });

  test('are still checked around their expressions', () => {
    const e = '${{ input.x }}';
    expect(params('http', { method: e })).toEqual(['invalid_params /steps/a/with/url']);
    expect(params('http', { url: e, headers: 3 })).toEqual(['invalid_params /steps/a/with/headers']);
    expect(params('http', { url: e, bodi: e })).toEqual(['invalid_params /steps/a/with/bodi']);
    expect(params('http', { url: e, expect: [e, 'many'] })).toEqual([
      'invalid_params /steps/a/with/expect/1',
    ]);
  });

  test('name routes without expressions', () => {
    const cases = [{ route: '${{ input.x }}', when: '${{ input.y }}' }];
    expect(params('switch', { cases })).toEqual(['invalid_params /steps/a/with/cases/0/route']);
    expect(params('switch', { cases: [{ route: 'a', when: true }], default: 'b-${{ input.x }}' })).toEqual([
      'invalid_params /steps/a/with/default',
    ]);
  });

  test('keep odd names as data', () => {
    const value = JSON.parse('{"__proto__":{"x":"${{ input.x }}"},"constructor":1}');
    expect(params('noop', value)).toEqual([]);
    expect(params('http', JSON.parse(`{"url":"${url}","constructor":1}`))).toEqual([
      'invalid_params /steps/a/with/constructor',
    ]);
  });
});

/** Replaces some values inside by expressions; the value as a whole stays. */
function withExpressions(value: Json, luck: () => boolean, isRoot = true): Json {
  if (!isRoot && luck()) return '${{ input.x }}';
  if (Array.isArray(value)) return value.map((item) => withExpressions(item, luck, false));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, withExpressions(item, luck, false)]),
  );
}

test('a constant that is a list may hold expressions', () => {
  const validate = createValidator(looseSchema({ properties: { a: { const: [1] }, b: { enum: [[1], 2] } } }));
  expect(validate({ a: ['${{ input.x }}'], b: ['${{ input.x }}'] })).toEqual([]);
});

test('what fits a schema still fits its loose variant when parts of it are expressions', () => {
  const keys = fc.constantFrom('a', 'b', 'c');
  const scalar = fc.constantFrom<Json>(1, 2, 'x', 'xyz', true, null);
  const { value } = fc.letrec<{ value: Json }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      scalar,
      fc.dictionary(keys, tie('value'), { maxKeys: 3 }),
      fc.array(tie('value'), { maxLength: 3 }),
    ),
  }));
  const { schema } = fc.letrec<{ schema: JsonSchema }>((tie) => {
    const sub = tie('schema');
    const map = fc.dictionary(keys, sub, { maxKeys: 2 });
    const list = fc.array(sub, { minLength: 1, maxLength: 2 });
    const some = { requiredKeys: [] };
    return {
      schema: fc.oneof(
        { maxDepth: 3 },
        fc.constantFrom<JsonSchema>(
          {},
          { type: 'string' },
          { type: ['integer', 'object'] },
          { enum: [1, 'x', {}] },
          { const: [1] },
          { minLength: 2 },
          { minimum: 2 },
        ),
        fc.record({ properties: map, additionalProperties: sub, required: fc.subarray(['a']) }, some),
        fc.record({ items: sub, prefixItems: list, uniqueItems: fc.boolean(), contains: sub }, some),
        fc.record({ oneOf: list, anyOf: list, allOf: list, not: sub }, some),
        // biome-ignore lint/suspicious/noThenProperty: a key of data
        fc.record({ if: sub, then: sub, else: sub, dependentSchemas: map, patternProperties: map }, some),
      ) as fc.Arbitrary<JsonSchema>,
    };
  });
  let fitting = 0;
  const property = fc.property(schema, value, fc.infiniteStream(fc.boolean()), (strict, sample, luck) => {
    if (checkSchema(strict).length > 0 || createValidator(strict)(sample).length > 0) return;
    fitting += 1;
    const loose = looseSchema(strict);
    expect(checkSchema(loose)).toEqual([]);
    const mixed = withExpressions(sample, () => luck.next().value as boolean);
    expect(createValidator(loose)(sample)).toEqual([]);
    expect(createValidator(loose)(mixed)).toEqual([]);
  });
  fc.assert(property, cases(200));
  expect(fitting).toBeGreaterThan(10);
});
