/**
 * Names that JavaScript's own objects have, wherever a name may be given: they are names like any other.
 */
import { describe, expect, test } from 'bun:test';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { canonicalJson } from '../../../core/json/canonical.ts';
import type { Json, JsonObject } from '../../../core/json/json.ts';
import { statuses, stepOf, type TestEngine } from '../../support/engine.ts';
import { type Fixture, fixtureForAll } from '../../support/fixture.ts';

const NAMES = [
  ...['constructor', 'prototype', 'toString', 'toJSON', 'valueOf', 'hasOwnProperty', 'isPrototypeOf', 'then'],
  ...[
    'toLocaleString',
    '__defineGetter__',
    '__defineSetter__',
    '__lookupGetter__',
    '__lookupSetter__',
    'length',
    'name',
  ],
  ...[
    'arguments',
    'caller',
    'input',
    'steps',
    'secrets',
    'default',
    'class',
    'undefined',
    'null',
    'NaN',
    '_',
    'a-b',
  ],
];
/** What a step cannot be called. */
const PROTO = '__proto__';
const SECRETS = [...NAMES.filter((name) => name !== 'a-b'), PROTO];

let engine: TestEngine;
let folder: string;

const setUp = async (fixture: Fixture) => {
  await fixture.database();
  folder = await fixture.folder();
  const file = join(folder, 'secrets.json');
  await writeFile(
    file,
    objectText(SECRETS, (name) => `value of ${name}`),
    { mode: 0o600 },
  );
  engine = await fixture.engine({ config: { EXECUTION_ENGINE_SECRETS_FILE: file } });
};

const isClean = () => {
  expect(Object.keys(Object.prototype)).toEqual([]);
  expect(({} as Record<string, unknown>).polluted).toBeUndefined();
};

fixtureForAll(setUp, { atEnd: isClean });

/** JSON text, so that `__proto__` is a member as in data that arrives. */
function objectText(names: readonly string[], value: (name: string) => unknown): string {
  return `{${names.map((name) => `${JSON.stringify(name)}:${JSON.stringify(value(name))}`).join(',')}}`;
}

const objectOf = (names: readonly string[], value: (name: string) => unknown) =>
  JSON.parse(objectText(names, value)) as JsonObject;

/** The database keeps no order of members. */
const sorted = (value: unknown) => canonicalJson(value as Json);

describe('steps', () => {
  test('are called so, and are read by expressions, joins, routes and the output', async () => {
    const record = (name: string) => ({ type: 'record', with: { value: name } });
    const steps = objectOf(NAMES, record);
    const reads = NAMES.map(
      (name) => `\${{ [steps["${name}"].output, inputs["${name}"], steps["${name}"].status] }}`,
    );
    const end = await engine.run({
      steps: {
        ...steps,
        join_all: { type: 'merge', needs: NAMES },
        read_all: { type: 'record', needs: NAMES, with: { value: reads } },
        keys: { type: 'record', needs: NAMES, with: { value: '${{ Object.keys(steps) }}' } },
      },
      output: objectOf(NAMES, (name) => `\${{ steps["${name}"].output }}`),
    });
    expect(end).toMatchObject({ status: 'completed', error: null });
    expect(new Set(Object.values(statuses(end)))).toEqual(new Set(['completed']));
    expect(stepOf(end, 'join_all').outputs).toEqual(objectOf(NAMES, (name) => name));
    expect(stepOf(end, 'read_all').outputs).toEqual(NAMES.map((name) => [name, name, 'completed']));
    expect(stepOf(end, 'keys').outputs).toEqual(NAMES);
    expect(sorted(end.outputs)).toBe(sorted(objectOf(NAMES, (name) => name)));
  });

  test('are the default output, and fail and are handled, under these names', async () => {
    const failing = (name: string) => ({ type: 'fail', with: { code: 'no', message: name } });
    const handled = objectOf(NAMES, failing);
    const handlers = Object.fromEntries(
      NAMES.map((name, at) => [
        `h${at}`,
        {
          type: 'record',
          needs: [{ step: name, on: 'failure' }],
          with: { value: `\${{ inputs["${name}"].message }}` },
        },
      ]),
    );
    const end = await engine.run({ steps: { ...handled, ...handlers } });
    expect(end.status).toBe('completed');
    expect(end.outputs).toEqual(Object.fromEntries(NAMES.map((name, at) => [`h${at}`, name])));
    const plain = await engine.run({
      steps: objectOf(NAMES, (name) => ({ type: 'record', with: { value: name } })),
    });
    expect(sorted(plain.outputs)).toBe(sorted(objectOf(NAMES, (name) => name)));
  });

  test('are not called __proto__, and the refusal says so', async () => {
    const { body } = await engine.request('POST', '/api/v1/templates/validate', {
      name: 'proto',
      steps: objectOf([PROTO], () => ({ type: 'noop' })),
    });
    expect(body).toMatchObject({
      valid: false,
      errors: [{ code: 'invalid_key', pointer: '/steps/__proto__' }],
    });
  });

  test('name routes and keys of limits so', async () => {
    const names = [...NAMES, PROTO];
    const cases = names.map((route) => ({ route, when: '${{ true }}' }));
    const taken = Object.fromEntries(
      names.map((route, at) => [
        `t${at}`,
        {
          type: 'noop',
          with: {},
          needs: [{ step: 's', route }],
          concurrency: { key: route, limit: 1 },
          rateLimit: { key: route, limit: 9, per: '1s' },
        },
      ]),
    );
    const end = await engine.run({
      steps: { s: { type: 'switch', with: { cases, multiple: true } }, ...taken },
    });
    expect(end.status).toBe('completed');
    expect(stepOf(end, 's').outputs).toEqual({ routes: names });
    expect(end.progress).toMatchObject({ completed: names.length + 1 });
  });
});

describe('data', () => {
  const names = [...NAMES, PROTO];

  test('has such names in inputs, parameters, outputs and tags, unchanged', async () => {
    const input = objectOf(names, (name) => ({ polluted: name }));
    const read = names.map((name) => `\${{ input[${JSON.stringify(name)}].polluted }}`);
    const template = await engine.publish({
      input: { type: 'object', required: ['constructor', 'toString'] },
      steps: {
        whole: { type: 'record', with: { value: '${{ input }}' } },
        each: { type: 'record', with: { value: read } },
        dynamic: {
          type: 'record',
          with: { value: '${{ input.names.map((name) => input.data[name].polluted) }}' },
        },
        written: { type: 'record', with: { value: objectOf(names, () => '${{ 1 + 1 }}') } },
        merged: { type: 'merge', needs: ['whole', 'written'], with: { mode: 'combine' } },
        script: {
          type: 'script',
          with: { code: 'return { ...input, more: Object.keys(input) }', input: '${{ input }}' },
        },
      },
      output: { whole: '${{ steps.whole.output }}', merged: '${{ steps.merged.output }}' },
    });
    const inputs = { ...input, names, data: input } as JsonObject;
    Object.defineProperty(inputs, PROTO, { value: input[PROTO], enumerable: true });
    const id = await engine.start(template, { inputs, tags: names });
    const end = await engine.end(id);
    expect(end).toMatchObject({ status: 'completed', error: null });
    expect(sorted(end.inputs)).toBe(sorted(inputs));
    expect(sorted(stepOf(end, 'whole').outputs)).toBe(sorted(inputs));
    expect(stepOf(end, 'each').outputs).toEqual(names);
    expect(stepOf(end, 'dynamic').outputs).toEqual(names);
    expect(sorted(stepOf(end, 'written').outputs)).toBe(sorted(objectOf(names, () => 2)));
    expect(sorted((end.outputs as JsonObject).whole)).toBe(sorted(inputs));
    expect(Object.keys((end.outputs as JsonObject).merged as object).sort()).toEqual(
      Object.keys(inputs).sort(),
    );
    expect(((stepOf(end, 'script').outputs as JsonObject).more as string[]).toSorted()).toEqual(
      Object.keys(inputs).sort(),
    );
    const { body } = await engine.request('GET', `/admin/executions?tag=${PROTO}`);
    expect(body.data).toMatchObject([{ execution_id: id, tags: names }]);
  });

  test('lacks such a name where the schema asks for it', async () => {
    const template = await engine.publish({
      input: { required: ['constructor'] },
      steps: { a: { type: 'noop' } },
    });
    const { status, body } = await engine.request('POST', '/api/v1/execution/start', {
      template,
      inputs: {},
    });
    expect([status, body.code]).toEqual([422, 'invalid_inputs']);
  });
});

test('secrets are called so, and are masked', async () => {
  const end = await engine.run({
    steps: {
      lengths: {
        type: 'record',
        with: { value: SECRETS.map((name) => `\${{ secrets["${name}"].length }}`) },
      },
      computed: {
        type: 'record',
        with: { value: `\${{ ${JSON.stringify(SECRETS)}.map((name) => secrets[name].length) }}` },
      },
      masked: { type: 'record', with: { value: SECRETS.map((name) => `\${{ secrets["${name}"] }}`) } },
    },
  });
  const lengths = SECRETS.map((name) => `value of ${name}`.length);
  expect(end).toMatchObject({ status: 'completed', error: null });
  expect(stepOf(end, 'lengths').outputs).toEqual(lengths);
  expect(stepOf(end, 'computed').outputs).toEqual(lengths);
  expect(new Set(stepOf(end, 'masked').outputs as string[])).toEqual(new Set(['***']));
});
