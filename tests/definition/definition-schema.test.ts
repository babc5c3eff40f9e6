import { describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import type { JsonObject } from '../../core/json/json.ts';
import { DEFINITION_FIELDS, readDefinition } from '../../definition/definition.ts';
import { definitionSchema } from '../../definition/definition-schema.ts';
import { checkSchema, createValidator } from '../../definition/schema/json-schema.ts';
import { STEP_FIELDS } from '../../definition/step.ts';
import { errorsOf, read, stepTypes, withHolders } from './reading.ts';

const builtIn = new Map([...stepTypes].filter(([type]) => type !== 'fragile'));
const schema = definitionSchema(builtIn);
const validate = createValidator(schema);

test('the shipped schema is the one the step types make; scripts/write-definition-schema.ts writes it', () => {
  const shipped = JSON.parse(
    readFileSync(new URL('../../definition/definition.schema.json', import.meta.url), 'utf8'),
  );
  expect(shipped).toEqual(JSON.parse(JSON.stringify(schema)));
});

test('the schema is one, and describes every field', () => {
  expect(checkSchema(schema)).toEqual([]);
  expect(Object.keys(schema.properties as JsonObject).sort()).toEqual([...DEFINITION_FIELDS].sort());
  const step = (schema.$defs as Record<string, { properties: JsonObject }>).step;
  expect(Object.keys(step!.properties).sort()).toEqual([...STEP_FIELDS].sort());
});

describe('the schema for editors', () => {
  const url = 'https://a.example/';
  const e = '${{ input.x }}';

  test('accepts what the engine accepts', () => {
    const definitions = [
      { a: { type: 'noop' } },
      { a: { type: 'noop', with: { any: ['thing', e] }, when: e, timeout: 500, priority: -1 } },
      {
        a: {
          type: 'http',
          with: { url, method: e, timeout: e, expect: [200, e], headers: { a: e }, body: { x: e } },
        },
      },
      { a: { type: 'noop' }, b: { type: 'merge', needs: 'a', join: 'any', with: { mode: e } } },
      {
        a: { type: 'noop' },
        b: { type: 'log', needs: [{ step: 'a', on: 'failure' }], join: { atLeast: 1 } },
      },
      {
        s: { type: 'switch', with: { cases: [{ route: 'x', when: e }], default: 'y', multiple: e } },
        x: { type: 'noop', needs: [{ step: 's', route: ['x', 'y'] }] },
      },
      {
        a: { type: 'delay', with: { for: '1s' } },
        b: { type: 'delay', with: { until: e } },
        c: { type: 'fail', with: { code: e } },
      },
      { a: { type: 'script', with: { code: 'return 1', memory: '16mb' } } },
      {
        a: {
          type: 'noop',
          retry: { limit: 1, delay: '1s', backoff: 'fixed', maxDelay: '1m', jitter: false },
          concurrency: { key: e, limit: 1 },
          rateLimit: { key: 'k', limit: 1, per: '1s' },
        },
      },
    ];
    for (const steps of definitions) {
      const document = { name: 'a', steps };
      expect(errorsOf(read(document))).toEqual([]);
      expect(validate(document)).toEqual([]);
    }
  });

  test('refuses what is wrong on its face', () => {
    const places: [unknown, string][] = [
      [{ a: { type: 'htpp' } }, '/steps/a/type'],
      [{ a: { type: 'http' } }, '/steps/a/with'],
      [{ a: { type: 'http', with: { url, bodi: 1 } } }, '/steps/a/with/bodi'],
      [{ a: { type: 'noop', need: [] } }, '/steps/a/need'],
      [{ a: { type: 'noop', when: 'true' } }, '/steps/a/when'],
      [{ a: { type: 'noop', retry: { limit: -1 } } }, '/steps/a/retry/limit'],
      [{ a: { type: 'noop', heartbeatTimeout: '1s' } }, '/steps/a/heartbeatTimeout'],
      [{ a: { type: 'merge', with: { mode: 'all' } } }, '/steps/a/with/mode'],
      [{ '1': { type: 'noop' } }, '/steps'],
    ];
    for (const [steps, place] of places) {
      const document = { name: 'a', steps };
      expect(validate(document).map(({ pointer }) => pointer)).toContain(place);
      expect(read(document).template).toBeNull();
    }
    expect(validate({ steps: { a: { type: 'noop' } } }).map(({ pointer }) => pointer)).toEqual(['/name']);
  });

  test('keeps the references of a type of the operator', () => {
    const type = {
      type: 'tree',
      summary: 'Has a schema that refers to itself.',
      schema: {
        type: 'object',
        properties: { node: { $ref: '#/$defs/node' } },
        $defs: {
          node: { type: 'object', properties: { up: { $ref: '#/$defs/node' } }, additionalProperties: false },
        },
      },
    };
    const extended = createValidator(definitionSchema(new Map([['tree', type]])));
    const tree = (node: unknown) => extended({ name: 'a', steps: { a: { type: 'tree', with: { node } } } });
    expect(tree({ up: { up: '${{ input.x }}' } })).toEqual([]);
    expect(tree({ up: { down: 1 } }).length).toBeGreaterThan(0);
  });

  test('describes steps inside steps as it does the others', () => {
    const extended = definitionSchema(withHolders.stepTypes);
    expect(checkSchema(extended)).toEqual([]);
    const validateHeld = createValidator(extended);
    const held = (inner: unknown) => ({
      name: 'a',
      steps: {
        each: { type: 'each', with: { items: e, steps: inner, output: e } },
        agent: { type: 'tools', with: { tools: [{ name: e, steps: inner }, {}] } },
      },
    });
    const good = {
      a: { type: 'noop' },
      b: { type: 'again', with: { while: e, steps: { c: { type: 'noop' } } } },
    };
    expect(errorsOf(readDefinition(held(good), withHolders))).toEqual([]);
    expect(validateHeld(held(good))).toEqual([]);
    const bad: [unknown, string][] = [
      [{ a: { type: 'nope' } }, '/a/type'],
      [{ a: { type: 'noop', need: [] } }, '/a/need'],
      [{ a: { type: 'again', with: { steps: { c: { type: 'noop', when: 'x' } } } } }, '/a/with/steps/c/when'],
      [{}, ''],
      [e, ''],
    ];
    for (const [inner, place] of bad) {
      const pointers = validateHeld(held(inner)).map(({ pointer }) => pointer);
      expect(pointers).toContain(`/steps/each/with/steps${place}`);
      expect(pointers.some((pointer) => pointer.startsWith('/steps/agent/with/tools'))).toBe(true);
    }
  });
});
