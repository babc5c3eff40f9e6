/**
 * Scripts and expressions wait for a few sandbox processes: they must not take every slot while they do, and those of one
 * workspace must not take the sandbox from another.
 */
import { expect, test } from 'bun:test';
import type { JsonObject } from '../../../core/json/json.ts';
import { type EngineCalls, type EngineDatabase, engineCalls, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { assertInvariants } from '../../support/invariants.ts';

const BUSY = { key: 'key-of-the-busy-workspace', id: 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa' };
const OTHER = { key: 'key-of-the-other-workspace', id: 'bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb' };
const OPERATOR = 'key-of-the-operator';

let database: EngineDatabase;
let engine: EngineCalls & TestEngine;
let busy: EngineCalls;
let other: EngineCalls;

fixtureForAll(async (fixture) => {
  database = await fixture.database();
  const keys = [`${OPERATOR}=admin`, ...[BUSY, OTHER].map(({ key, id }) => `${key}=${id}:editor`)];
  const started = await fixture.engine({
    config: { EXECUTION_ENGINE_CONCURRENCY: '4', EXECUTION_ENGINE_API_KEYS: keys.join(',') },
  });
  engine = { ...started, ...engineCalls(started.url, OPERATOR) };
  busy = engineCalls(engine.url, BUSY.key);
  other = engineCalls(engine.url, OTHER.key);
});

const ENDLESS = '${{ (() => { for (;;); })() }}';
const MAPPED = '${{ [1, 2].map((x) => 2 * x) }}';
const TRANSFORM = { type: 'transform', with: { value: ENDLESS } };

const sideBySide = (step: JsonObject): JsonObject => ({
  onFailure: 'continue',
  steps: Object.fromEntries(Array.from({ length: 40 }, (_, at) => [`s${at}`, step])),
});

test.each([
  ['expressions', sideBySide(TRANSFORM)],
  ['guards', sideBySide({ type: 'noop', when: ENDLESS })],
  ['cases', sideBySide({ type: 'switch', with: { cases: [{ route: 'a', when: ENDLESS }], default: 'b' } })],
  ['steps that share a limit', sideBySide({ ...TRANSFORM, concurrency: { key: 'wide', limit: 1_000 } })],
  ['scripts', sideBySide({ type: 'script', with: { code: 'for (;;);' } })],
])('endless %s of a workspace leave slots and the sandbox to another', async (_, definition) => {
  const wide = await busy.start(await busy.publish(definition));
  await database.until(
    `select count(*) > 0 from workflow_step_executions where workflow_execution_id = $1 and status = 'running'`,
    [wide],
  );
  const quick = await other.run({
    steps: {
      a: { type: 'noop' },
      b: { type: 'transform', needs: ['a'], with: { value: MAPPED } },
      c: { type: 'script', needs: ['b'], with: { code: 'return 3' } },
    },
    output: '${{ [steps.b.output, steps.c.output].flat().map(String) }}',
  });
  expect(quick).toMatchObject({ status: 'completed', outputs: ['2', '4', '3'] });
  const { progress } = await busy.client.status(wide);
  expect(progress.completed + progress.failed).toBeLessThan(progress.total);
  await engine.request('POST', `/admin/executions/${wide}/cancel`, {});
  await assertInvariants(database.url, { allFinal: false });
});

test("a step's timeout goes on while it waits for the sandbox", async () => {
  const wide = await busy.start(await busy.publish(sideBySide({ ...TRANSFORM, timeout: '100ms' })));
  const end = await busy.end(wide);
  const codes = new Set(end.steps.map(({ error }) => error?.code));
  expect([...codes]).toEqual(['timeout']);
});

test('endless outputs of executions leave the sandbox to another workspace', async () => {
  const template = await busy.publish({ steps: { a: { type: 'noop' } }, output: ENDLESS });
  const ids = await Promise.all(Array.from({ length: 5 }, () => busy.start(template)));
  const end = await other.run({ steps: { a: { type: 'transform', with: { value: MAPPED } } } });
  expect(end.status).toBe('completed');
  for (const id of ids)
    expect(await busy.end(id)).toMatchObject({ status: 'failed', error: { code: 'output_failed' } });
  await assertInvariants(database.url);
});

test('a wide execution of endless scripts leaves slots to the executions of others', async () => {
  const endless = { type: 'script', with: { code: 'for (;;);', timeout: '30s' } };
  const steps = Object.fromEntries(Array.from({ length: 12 }, (_, at) => [`s${at}`, endless]));
  const wide = await busy.start(await busy.publish({ steps }));
  const quick = await busy.run({ steps: { a: { type: 'noop' }, b: { type: 'noop', needs: ['a'] } } });
  expect(quick.status).toBe('completed');
  await engine.request('POST', `/admin/executions/${wide}/cancel`, {});
  expect((await busy.end(wide)).status).toBe('cancelled');
});

test('scripts of one execution all get their turn', async () => {
  const step = (at: number) => ({ type: 'script', with: { code: `return ${at} + 1` } });
  const steps = Object.fromEntries(Array.from({ length: 12 }, (_, at) => [`s${at}`, step(at)]));
  const end = await other.run({ steps });
  expect(end.outputs).toEqual(Object.fromEntries(Object.keys(steps).map((key, at) => [key, at + 1])));
});
