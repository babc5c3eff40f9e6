/**
 * What is large, or long to check, is read beside the engine: it is answered as anything else is, bounded, and in the
 * way of nobody.
 */
import { expect, test } from 'bun:test';
import { randomUUID } from 'node:crypto';
import type { JsonObject } from '../../../core/json/json.ts';
import { childrenOf } from '../../../process/process-usage.ts';
import { sized } from '../../support/core/size.ts';
import type { EngineDatabase, EngineProcess } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

const WORKSPACES = [randomUUID(), randomUUID()];
const KEYS = WORKSPACES.map(() => randomUUID());
const [KEY, OTHER_KEY] = KEYS as [string, string];

let place: EngineDatabase;
let engine: EngineProcess;

const fixture = fixtureForAll(async () => {
  place = await fixture.database();
  const keys = KEYS.map((key, at) => `${key}=${WORKSPACES[at]}`).join();
  engine = await fixture.engineProcess({ token: KEY, config: { EXECUTION_ENGINE_API_KEYS: keys } });
});

const PUBLISH = '/api/v1/templates';
const VALIDATE = '/api/v1/templates/validate';
const START = '/api/v1/execution/start';

const list = <T>(length: number, make: (at: number) => T): T[] => Array.from({ length }, (_, at) => make(at));
const fields = (count: number) =>
  Object.fromEntries(list(count, (at) => [`p${at}`, { type: 'string', minLength: 1 }]));
const patterns = (count: number) =>
  list(count, (at) => ({ pattern: `[a-z0-9]{1,100}${at}(x|y){0,50}`.repeat(20) }));
const named = (name: string, more: object = {}): JsonObject => ({
  name,
  steps: { a: { type: 'transform', with: { value: '${{ input }}' } } },
  ...more,
});

/** So many that a process reads them, and takes a while. */
const HEAVY_FIELDS = sized(1_200, 3_000);

test('a large definition is published whole, and equal when it is sent again', async () => {
  const steps = Object.fromEntries(
    list(3_000, (at) => [`s${at}`, { type: 'noop', ...(at > 0 ? { needs: [`s${at - 1}`] } : {}) }]),
  );
  const first = await engine.request('POST', PUBLISH, { name: 'large', steps });
  const again = await engine.request('POST', PUBLISH, { name: 'large', steps });
  expect([first.status, again.status]).toEqual([201, 200]);
  expect(again.body.workflow_template_id).toBe(first.body.workflow_template_id!);
  const { rows } = await place.pool.query(
    `select s.key, s.definition from workflow_step_templates s
      where s.workflow_template_id = $1 order by s.position`,
    [first.body.workflow_template_id],
  );
  expect(rows.map(({ key }) => key)).toEqual(Object.keys(steps));
  expect(rows.map(({ definition }) => definition)).toEqual(Object.values(steps));
});

test('patterns that are too large together are refused where they go over', async () => {
  const { status, body } = await engine.request(
    'POST',
    VALIDATE,
    named('bomb', { input: { anyOf: patterns(1_000) } }),
  );
  expect(status).toBe(200);
  expect(body).toMatchObject({ valid: false, errors: [{ code: 'invalid_schema' }] });
  expect((body.errors as JsonObject[])[0]!.pointer).toMatch(/^\/input\/anyOf\/\d+\/pattern$/);
});

test('a template that was published before patterns were bounded goes on being started', async () => {
  const published = await engine.request('POST', PUBLISH, named('old'));
  const definition = JSON.stringify(named('old', { input: { anyOf: patterns(40) } }));
  await place.pool.query(
    'update workflow_templates set definition = $2::text::jsonb, definition_source = $2 where id = $1',
    [published.body.workflow_template_id, definition],
  );
  const fits = `${`${'a'.repeat(3)}7`.repeat(20)}`;
  const started = await engine.request('POST', START, { template: 'old', inputs: fits });
  expect(started.status).toBe(202);
  expect((await engine.end(started.body.execution_id as string)).status).toBe('completed');
  const refused = await engine.request('POST', START, { template: 'old', inputs: '-' });
  expect([refused.status, refused.body.code]).toEqual([422, 'invalid_inputs']);
});

test('inputs of a large schema are checked, whichever way they come', async () => {
  await engine.request(
    'POST',
    PUBLISH,
    named('fields', { input: { type: 'object', properties: fields(400) } }),
  );
  const wrong = await engine.request('POST', START, { template: 'fields', inputs: { p7: 1, p8: '' } });
  expect([wrong.status, (wrong.body.errors as JsonObject[]).map(({ pointer }) => pointer)]).toEqual([
    422,
    ['/inputs/p7', '/inputs/p8'],
  ]);
  const options = JSON.stringify({ workspace_id: WORKSPACES[0] });
  const startBySql = async (inputs: object) => {
    const text = 'select workflow_start($1, $2, $3) as id';
    const { rows } = await place.pool.query(text, ['fields', JSON.stringify(inputs), options]);
    return engine.end(rows[0].id);
  };
  expect((await startBySql({ p7: 'x' })).status).toBe('completed');
  expect((await startBySql({ p7: 1 })).error).toMatchObject({ code: 'invalid_inputs' });
});

test('large inputs arrive as they were sent', async () => {
  const template = await engine.publish({
    steps: { a: { type: 'transform', with: { value: '${{ input.list[7] }}' } } },
  });
  const inputs = { list: list(40_000, (at) => ({ at, text: `é "${at}"` })) };
  const { status, body } = await engine.request('POST', START, { template, inputs });
  expect(status).toBe(202);
  const ended = await engine.end(body.execution_id as string);
  expect(ended.inputs).toEqual(inputs);
  expect(ended.outputs).toEqual({ a: inputs.list[7]! });
});

test('starts of one call are all refused when the inputs of one do not fit, light and heavy together', async () => {
  await engine.request(
    'POST',
    PUBLISH,
    named('heavy', { input: { type: 'object', properties: fields(400) } }),
  );
  await engine.request('POST', PUBLISH, named('light', { input: { type: 'object', required: ['a'] } }));
  const items = list(200, (at) => ({
    template: at % 2 === 0 ? 'heavy' : 'light',
    inputs: at % 2 === 0 ? { p1: 1 } : {},
  }));
  const { status, body } = await engine.request('POST', '/api/v1/execution/start-many', { items });
  expect([status, body.code]).toEqual([422, 'invalid_inputs']);
  expect((await engine.request('GET', '/health/live')).status).toBe(200);
});

test('a body with hundreds of thousands of unknown fields is refused with the first hundred', async () => {
  const body = { template: 'x', ...Object.fromEntries(list(sized(200_000, 400_000), (at) => [`u${at}`, 1])) };
  const answer = await engine.request('POST', START, body);
  expect([answer.status, answer.body.code]).toEqual([422, 'validation_failed']);
  expect(answer.body.errors).toHaveLength(100);
});

test('a call that takes a few fields takes no large body', async () => {
  const body = { execution_id: randomUUID(), reason: 'x'.repeat(100_000) };
  expect((await engine.request('POST', '/api/v1/execution/stop', body)).status).toBe(413);
});

test('one workspace whose definitions take long leaves room to others', async () => {
  const heavy = named('heavy', { input: { properties: fields(HEAVY_FIELDS) } });
  const busy = list(6, () => engine.request('POST', VALIDATE, heavy));
  const other = await engine.request(
    'POST',
    VALIDATE,
    named('other', { input: { properties: fields(100) } }),
    OTHER_KEY,
  );
  expect(other.body).toMatchObject({ valid: true });
  const answers = await Promise.all(busy);
  expect(answers.map(({ body }) => body.valid)).toEqual(busy.map(() => true));
});

test('a process that is killed while it reads costs nobody an answer', async () => {
  const heavy = named('heavy', { input: { properties: fields(HEAVY_FIELDS) } });
  const answer = engine.request('POST', VALIDATE, heavy);
  for (const child of childrenOf(engine.pid)) process.kill(child, 'SIGKILL');
  expect((await answer).body).toMatchObject({ valid: true });
});
