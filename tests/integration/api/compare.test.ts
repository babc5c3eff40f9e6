/**
 * Comparisons over HTTP: of two executions of one version, of two versions, and of scopes.
 */
import { expect, test } from 'bun:test';
import { randomUUID } from 'node:crypto';
import type { JsonObject } from '../../../core/json/json.ts';
import type { CompareBody } from '../../../services/reading/compare-answers.ts';
import type { TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

let engine: TestEngine;

fixtureForAll(async (fixture) => {
  await fixture.database();
  engine = await fixture.engine();
});

async function compare(a: string, b: string, more = ''): Promise<CompareBody> {
  const { status, body } = await engine.request('GET', `/api/v1/execution/compare?a=${a}&b=${b}${more}`);
  expect({ status, body: status === 200 ? null : body }).toEqual({ status: 200, body: null });
  return body as unknown as CompareBody;
}

/** The steps that differ, with their fields. */
const differing = ({ steps }: CompareBody) =>
  Object.fromEntries(
    steps.filter(({ differs }) => differs.length > 0).map(({ key, differs }) => [key, differs]),
  );

async function both(template: string, inputs: readonly [JsonObject, JsonObject]): Promise<[string, string]> {
  const ids = await Promise.all(inputs.map((each) => engine.start(template, { inputs: each })));
  await Promise.all(ids.map((id) => engine.end(id)));
  return ids as [string, string];
}

const FLOW = {
  steps: {
    last: { type: 'transform', needs: ['decide'], with: { value: '${{ input.text }}' } },
    decide: {
      type: 'switch',
      with: { cases: [{ route: 'high', when: '${{ input.n > 10 }}' }], default: 'low' },
    },
    high: { type: 'noop', needs: [{ step: 'decide', route: 'high' }], with: {} },
    low: {
      type: 'fail',
      when: '${{ input.fails === true }}',
      needs: [{ step: 'decide', route: 'low' }],
      with: { message: 'low' },
    },
  },
};

test('two executions that did the same differ in nothing', async () => {
  const inputs = { n: 1, text: 'x'.repeat(10_000) };
  const [a, b] = await both(await engine.publish(FLOW), [inputs, inputs]);
  const body = await compare(a, b);
  expect(body.first_difference).toBeNull();
  expect(body.steps.map(({ key }) => key)).toEqual(['decide', 'last', 'high', 'low']);
  expect(differing(body)).toEqual({});
  for (const { a: own } of body.steps) expect(own).not.toHaveProperty('output');
});

test('the first difference is of the inputs, then of the step of the lowest rank', async () => {
  const template = await engine.publish(FLOW);
  const long = 'x'.repeat(5_000);
  const [a, b] = await both(template, [
    { n: 11, text: `${long}a` },
    { n: 1, text: `${long}b` },
  ]);
  const body = await compare(a, b);
  expect(body.first_difference).toMatchObject({ step: null, field: 'inputs' });
  expect(differing(body)).toEqual({
    decide: ['route', 'output'],
    // They differ behind what is shown.
    last: ['output'],
    high: ['status', 'output', 'attempt_count'],
  });
  const last = body.steps.find(({ key }) => key === 'last')!;
  expect(last.a!.output).toBe(last.b!.output!);
  expect(String(last.a!.output)).toHaveLength(201);
  expect(body.steps[0]).toMatchObject({
    a: { route: ['high'], output: { routes: ['high'] } },
    b: { route: ['low'], output: { routes: ['low'] } },
  });
});

test('failures differ by their code and message, and executions by how they ended', async () => {
  const template = await engine.publish({
    steps: {
      a: { type: 'record', with: { value: 1 } },
      f: {
        type: 'flaky',
        needs: ['a'],
        with: { failures: '${{ input.n }}' },
        retry: { limit: 3, delay: '1ms' },
      },
    },
  });
  const [a, b] = await both(template, [{ n: 0 }, { n: 9 }]);
  const body = await compare(a, b);
  expect(differing(body)).toEqual({ f: ['status', 'error', 'output', 'attempt_count'] });
  expect(body).toMatchObject({ a: { status: 'completed' }, b: { status: 'failed' } });
  expect(body.steps[1]!.b).toMatchObject({
    status: 'failed',
    attempt_count: 4,
    error: { code: expect.any(String) },
  });
});

test('without different inputs the first difference is that of a step', async () => {
  const template = await engine.publish({
    steps: {
      a: { type: 'noop', with: {} },
      now: { type: 'transform', needs: ['a'], with: { value: '${{ execution.id }}' } },
    },
  });
  const [a, b] = await both(template, [{}, {}]);
  expect((await compare(a, b)).first_difference).toEqual({ step: 'now', field: 'output', a, b });
});

test('of two versions the steps that one has alone are missing in the other', async () => {
  const name = `versions-${randomUUID()}`;
  const versions = [
    { old: { type: 'noop', with: {} }, same: { type: 'noop', with: {} }, other: { type: 'noop', with: {} } },
    {
      same: { type: 'noop', with: {} },
      new: { type: 'noop', needs: ['same'], with: {} },
      other: { type: 'transform', with: { value: {} } },
    },
  ];
  const ids: string[] = [];
  for (const steps of versions) {
    await engine.publish({ name, steps });
    ids.push(await engine.start(name));
    await engine.end(ids.at(-1)!);
  }
  const body = await compare(ids[0]!, ids[1]!);
  expect(differing(body)).toEqual({ old: ['missing'], new: ['missing'], other: ['type'] });
  expect(body.steps.find(({ key }) => key === 'old')!.b).toBeNull();
  expect(body.first_difference).toMatchObject({ step: 'old', field: 'missing', a: 'completed', b: null });
});

test('scopes are compared with scope', async () => {
  const template = await engine.publish({
    steps: {
      each: {
        type: 'foreach',
        with: {
          items: '${{ input.items }}',
          steps: { x: { type: 'transform', with: { value: '${{ item }}' } } },
        },
      },
    },
  });
  const [a, b] = await both(template, [{ items: [1, 2] }, { items: [1, 3, 4] }]);
  expect((await compare(a, b, '&scope=each[0]')).first_difference).toBeNull();
  expect((await compare(a, b, '&scope=each[1]')).first_difference).toEqual({
    step: 'x',
    field: 'output',
    a: 2,
    b: 3,
  });
  expect(await engine.request('GET', `/api/v1/execution/compare?a=${a}&b=${b}&scope=each[2]`)).toMatchObject({
    status: 404,
    body: { code: 'scope_not_found' },
  });
});

test('executions of two templates are refused, and those that are not there', async () => {
  const { execution_id: a } = await engine.run({ steps: { a: { type: 'noop' } } });
  const { execution_id: b } = await engine.run({ steps: { a: { type: 'noop' } } });
  const ask = (query: string) => engine.request('GET', `/api/v1/execution/compare?${query}`);
  expect(await ask(`a=${a}&b=${b}`)).toMatchObject({ status: 422, body: { code: 'not_comparable' } });
  expect(await ask(`a=${a}&b=${randomUUID()}`)).toMatchObject({
    status: 404,
    body: { code: 'execution_not_found' },
  });
  expect(await ask(`a=${a}`)).toMatchObject({ status: 422, body: { code: 'validation_failed' } });
});
