import { describe, expect, test } from 'bun:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { failureOf } from '../tests/support/http-peer.ts';
import { stepContext } from '../tests/support/step-context.ts';
import { BUILT_IN_NAMES } from './built-in-names.ts';
import { createStepTypes, type StepTypesOptions } from './registry.ts';
import type { StepType } from './step-type.ts';

const options: StepTypesOptions = {
  http: { allow: [], maxResponseBytes: 1_000, timeoutMs: 1_000 },
  script: { timeoutMs: 1_000, memoryBytes: 2 ** 20 },
};
const types = createStepTypes(options);
const own: StepType = { type: 'own', summary: 'Mine.', schema: {}, run: () => null };

/** The answer of a type's schema for parameters: '' when it takes them. */
function verdict(type: string, params: unknown): string {
  const ajv = new Ajv2020({ strict: true, allErrors: true });
  return ajv.validate(types.get(type)!.schema as object, params) ? '' : ajv.errorsText();
}

describe('the registry', () => {
  test('has the built-in types, each under its own name with a summary', () => {
    expect([...types.keys()].sort()).toEqual([...BUILT_IN_NAMES].sort());
    for (const [name, type] of types) {
      expect(type.type).toBe(name);
      expect(type.summary).not.toBe('');
    }
  });

  test('adds the types of the operator', () => {
    expect(createStepTypes({ ...options, extra: [own] }).get('own')).toBe(own);
  });

  test('refuses a type whose name is taken', () => {
    expect(() => createStepTypes({ ...options, extra: [{ ...own, type: 'http' }] })).toThrow(
      '"http" is there already',
    );
    expect(() => createStepTypes({ ...options, extra: [own, own] })).toThrow('"own" is there already');
  });

  test('refuses an allow list that cannot be read', () => {
    expect(() => createStepTypes({ ...options, http: { ...options.http, allow: ['10.0.0.0/99'] } })).toThrow(
      '10.0.0.0/99',
    );
  });

  test('gives http the allow list of its configuration', async () => {
    const params = { url: 'http://127.0.0.1:1/' };
    const run = async (allow: string[]) => {
      const http = createStepTypes({ ...options, http: { ...options.http, allow } }).get('http')!;
      return failureOf(http.run(stepContext({ params })) as Promise<unknown>);
    };
    expect((await run([])).code).toBe('http_blocked_address');
    expect((await run(['127.0.0.0/8'])).code).toBe('http_network_error');
  });
});

describe('the schema of', () => {
  test.each([...types.values()].map(({ type }) => type))(
    '%s refuses an unknown parameter, unless any will do',
    (type) => {
      const found = verdict(type, { surprise: 1 });
      expect(found.includes('additional properties')).toBe(type !== 'noop');
    },
  );

  test.each([
    ['noop', { anything: [1] }],
    ['merge', { mode: 'append' }],
    ['transform', { value: null }],
    ['switch', { cases: [{ route: 'a', when: '${{ input.x }}' }], default: 'b', multiple: true }],
    ['switch', { cases: [{ route: 'a', when: true }] }],
    ['script', { code: 'return 1', input: {}, memory: '32mb', timeout: '1s' }],
    ['script', { code: 'return 1', memory: 1_000_000, timeout: 500 }],
    ['delay', { for: '90m' }],
    ['delay', { until: '2030-01-31T09:00:00Z' }],
    ['delay', { until: 1_900_000_000_000 }],
    ['log', { message: { a: 1 }, level: 'warn' }],
    ['fail', { message: 'no', code: 'OUT_OF_STOCK' }],
    [
      'http',
      {
        url: 'https://a.test/',
        method: 'POST',
        body: { a: 1 },
        headers: { 'x-a': 1 },
        query: { q: ['a', 1] },
      },
    ],
    ['http', { url: 'https://a.test/', expect: 204, followRedirects: false, timeout: '10s' }],
    ['http', { url: 'https://a.test/', expect: '200-299', followRedirects: 3 }],
    ['http', { url: 'https://a.test/', expect: [200, '404', '500-502'] }],
  ])('%s takes %j', (type, params) => {
    expect(verdict(type, params)).toBe('');
  });

  test.each([
    ['merge', { mode: 'zip' }],
    ['switch', {}],
    ['switch', { cases: [] }],
    ['switch', { cases: [{ route: 'a' }] }],
    ['switch', { cases: [{ route: 'a', when: 'input.x > 1' }] }],
    ['script', {}],
    ['script', { code: '', memory: 'much' }],
    ['script', { code: 'x', memory: '5 apples' }],
    ['delay', {}],
    ['delay', { for: '1s', until: '2030-01-31T09:00:00Z' }],
    ['delay', { for: '1 fortnight' }],
    ['delay', { until: 'tomorrow' }],
    ['fail', { code: 'has space' }],
    ['http', {}],
    ['http', { url: 'https://a.test/', method: 'TRACE' }],
    ['http', { url: 'https://a.test/', expect: '2xx' }],
    ['http', { url: 'https://a.test/', expect: 42 }],
    ['http', { url: 'https://a.test/', headers: { a: { b: 1 } } }],
    ['http', { url: 'https://a.test/', query: { a: { b: 1 } } }],
    ['http', { url: 'https://a.test/', timeout: 0 }],
  ])('%s refuses %j', (type, params) => {
    expect(verdict(type, params)).not.toBe('');
  });
});

test('built-in types have an example for every pattern that they ask for', () => {
  const silent: string[] = [];
  const look = (schema: unknown, place: string) => {
    if (typeof schema !== 'object' || schema === null) return;
    if ('pattern' in schema && typeof schema.pattern === 'string' && !('examples' in schema))
      silent.push(place);
    for (const [key, part] of Object.entries(schema)) look(part, `${place}/${key}`);
  };
  for (const [name, type] of types) look(type.schema, name);
  expect(silent).toEqual([]);
});
