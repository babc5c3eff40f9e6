/** Forks: every rule of what a fork reuses, takes over and refuses, over HTTP. */
import { expect, test } from 'bun:test';
import { randomUUID } from 'node:crypto';
import type { Json, JsonObject } from '../../../core/json/json.ts';
import { type EngineDatabase, statuses, stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

let database: EngineDatabase;
let engine: TestEngine;

fixtureForAll(async (fixture) => {
  database = await fixture.database();
  engine = await fixture.engine({});
});

const fork = async (body: JsonObject, key?: string) => {
  const response = await fetch(`${engine.url}/api/v1/execution/fork`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(key === undefined ? {} : { 'Idempotency-Key': key }) },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as JsonObject };
};

/** Forks, and returns the end of the fork with the keys of the steps that ran in it. */
async function forked(body: JsonObject) {
  const answer = await fork(body);
  expect(answer).toMatchObject({ status: 202, body: { created: true } });
  const id = String(answer.body.execution_id);
  const end = await engine.end(id);
  return { id, end, ran: (await database.runs(id)).map(({ step }) => step).sort() };
}

const record = (value: Json, more: JsonObject = {}): JsonObject => ({
  type: 'record',
  with: { value },
  ...more,
});
const after = (...needs: Json[]) => ({ needs });

/** load -> split -> left, right -> meet, and aside that only load comes before. */
const DIAMOND: JsonObject = {
  input: { type: 'object', required: ['n'], properties: { n: { type: 'integer' } } },
  steps: {
    load: record('${{ input.n }}'),
    left: record('${{ steps.load.output + 1 }}', after('load')),
    right: record('${{ steps.load.output + 10 }}', after('load')),
    meet: record('${{ [steps.left.output, steps.right.output, input.n] }}', after('left', 'right')),
  },
  output: '${{ steps.meet.output }}',
};

test('a fork reuses what is not `from` or after it, and runs the rest with what it reuses', async () => {
  const source = await engine.run(DIAMOND, {
    inputs: { n: 1 },
    tags: ['blue'],
    priority: 7,
    user_id: randomUUID(),
  });
  const { end, ran } = await forked({ execution_id: source.execution_id, from: 'right' });
  expect(ran).toEqual(['meet', 'right']);
  expect(end).toMatchObject({ status: 'completed', outputs: [2, 11, 1], forked_from: source.execution_id });
  const left = stepOf(end, 'left');
  expect(left).toMatchObject({
    status: 'completed',
    outputs: 2,
    attempt_count: 0,
    reused_from: stepOf(source, 'left').id,
    received_inputs: [{ key: 'load', live: true, route: null }],
  });
  expect(stepOf(end, 'meet')).not.toHaveProperty('reused_from');
  const { rows } = await database.pool.query(
    'select tags, priority, user_id, callback_url from workflow_executions where id = $1',
    [end.execution_id],
  );
  const { rows: of } = await database.pool.query('select user_id from workflow_executions where id = $1', [
    source.execution_id,
  ]);
  expect(rows).toEqual([{ tags: ['blue'], priority: 7, user_id: of[0].user_id, callback_url: null }]);
  const { data } = await engine.client.listExecutions({ template: source.template });
  expect(data.map(({ forked_from }) => forked_from)).toEqual([source.execution_id, null]);
  // The source stays as it is.
  expect(await engine.client.status(source.execution_id, { includeOutputs: true })).toEqual(source);
});

test('other inputs are those of the steps that run, and are checked; outputs replace, and complete what did not run', async () => {
  const { execution_id } = await engine.run(DIAMOND, { inputs: { n: 1 } });
  const other = await forked({ execution_id, from: 'meet', inputs: { n: 5 } });
  expect(other.end).toMatchObject({ inputs: { n: 5 }, outputs: [2, 11, 5] });
  const given = await forked({ execution_id, from: 'right', outputs: { left: 'L', right: 'R' } });
  expect(given).toMatchObject({ ran: ['meet'], end: { outputs: ['L', 'R', 1] } });
  const wrong = await fork({ execution_id, from: 'meet', inputs: { n: 'five' } });
  expect(wrong).toMatchObject({
    status: 422,
    body: { code: 'invalid_inputs', errors: [{ pointer: '/inputs/n', code: 'invalid_inputs' }] },
  });
});

test('a fork in which nothing is left to run ends with the outputs of what it reuses', async () => {
  const { execution_id } = await engine.run(DIAMOND, { inputs: { n: 1 } });
  const { end, ran } = await forked({ execution_id, from: 'meet', outputs: { meet: 'by hand' } });
  expect(ran).toEqual([]);
  expect(end).toMatchObject({ status: 'completed', outputs: 'by hand' });
  expect(stepOf(end, 'load').outputs).toBe(1);
});

/** Each step of the source by its outcome; `last` is where the forks begin. */
const OUTCOMES: JsonObject = {
  onFailure: 'continue',
  steps: {
    done: record(1),
    guarded: record(2, { when: false }),
    handled: { type: 'fail', with: { code: 'oops', message: 'oh no' } },
    rescue: record('${{ inputs.handled.code }}', after({ step: 'handled', on: 'failure' })),
    beside: record(4, after({ step: 'handled', on: 'success' })),
    unhandled: { type: 'fail', with: { code: 'bad', message: 'bad' } },
    behind: record(5, after('unhandled')),
    last: record('${{ [steps.done.output, steps.handled.error.code, steps.rescue.output] }}', {
      needs: ['done', 'rescue'],
    }),
    never: record(6, after('guarded')),
  },
};

test('completed, skipped and handled failed steps are reused, unhandled failures and cancelled steps begin anew', async () => {
  const source = await engine.run(OUTCOMES);
  expect(source.status).toBe('failed');
  const { end, ran } = await forked({ execution_id: source.execution_id, from: 'last' });
  expect(ran).toEqual(['last']);
  expect(end).toMatchObject({ status: 'failed', error: { step: 'unhandled' } });
  const reused = end.steps.filter(({ reused_from }) => reused_from !== undefined).map(({ key }) => key);
  expect(reused).toEqual(['done', 'guarded', 'handled', 'rescue', 'beside', 'never']);
  expect(stepOf(end, 'handled').error).toMatchObject({ code: 'oops', message: 'oh no' });
  expect(stepOf(end, 'last').outputs).toEqual([1, 'oops', 'oops']);
  expect(statuses(end)).toEqual(statuses(source));
});

/** A switch, whose routes decide what runs. */
const ROUTED: JsonObject = {
  steps: {
    choose: {
      type: 'switch',
      with: { cases: [{ route: 'a', when: '${{ input.way === "a" }}' }], default: 'b' },
    },
    a: record('A', after({ step: 'choose', route: 'a' })),
    b: record('B', after({ step: 'choose', route: 'b' })),
    end: record('${{ steps.a.output ?? steps.b.output }}', { needs: ['a', 'b'], join: 'any' }),
    aside: record('aside'),
    last: record('last', after('aside')),
  },
};

test('steps whose edges change with a given output are decided anew, however finished they were', async () => {
  const { execution_id } = await engine.run(ROUTED, { inputs: { way: 'a' } });
  const other = await forked({ execution_id, from: 'last', outputs: { choose: { routes: ['b'] } } });
  expect(other.ran).toEqual(['b', 'end', 'last']);
  expect(statuses(other.end)).toMatchObject({ a: 'skipped', b: 'completed' });
  const same = await forked({ execution_id, from: 'last', outputs: { choose: { routes: ['a'] } } });
  expect(same.ran).toEqual(['last']);
  const keys = (body: JsonObject) => fork({ execution_id, from: 'last', ...body });
  expect(await keys({ outputs: { choose: { routes: ['c'] } } })).toMatchObject({
    status: 422,
    body: {
      errors: [{ pointer: '/outputs/choose/routes', message: expect.stringContaining('it has a, b') }],
    },
  });
  expect(await keys({ outputs: { choose: 'a' } })).toMatchObject({
    status: 422,
    body: { code: 'validation_failed' },
  });
  expect(await keys({ outputs: { chose: 1 } })).toMatchObject({
    status: 422,
    body: {
      errors: [{ pointer: '/outputs/chose', message: expect.stringContaining('Did you mean "choose"?') }],
    },
  });
});

test('a running execution goes on while it is forked: what it has not finished begins anew in the fork', async () => {
  const gate = randomUUID();
  const name = await engine.publish({
    steps: {
      quick: record('quick'),
      slow: { type: 'gate', with: { name: gate, value: 'slow' } },
      last: record('${{ [steps.quick.output, steps.slow.output] }}', after('quick', 'slow')),
    },
  });
  const execution_id = await engine.start(name);
  await database.until('select count(*) = 2 from test_runs where execution_id = $1', [execution_id]);
  await database.until(
    `select true from workflow_step_executions where workflow_execution_id = $1 and status = 'completed'`,
    [execution_id],
  );
  const byHand = await forked({ execution_id, from: 'last', outputs: { slow: 'given' } });
  expect(byHand).toMatchObject({ ran: ['last'], end: { outputs: { last: ['quick', 'given'] } } });
  const { body } = await fork({ execution_id, from: 'last' });
  await database.openGate(gate);
  const end = await engine.end(String(body.execution_id));
  expect(end).toMatchObject({ status: 'completed', outputs: { last: ['quick', 'slow'] } });
  expect((await database.runs(end.execution_id)).map(({ step }) => step).sort()).toEqual(['last', 'slow']);
  expect(await engine.end(execution_id)).toMatchObject({ status: 'completed' });
});

test('a reused holder brings its output, not its scopes or children', async () => {
  const child = await engine.publish({ steps: { only: record('child') } });
  const source = await engine.run({
    steps: {
      each: {
        type: 'foreach',
        with: { items: [1, 2], steps: { one: record('${{ item * 2 }}') }, output: '${{ steps.one.output }}' },
      },
      call: { type: 'workflow', with: { name: child } },
      last: record('${{ [steps.each.output, steps.call.output] }}', after('each', 'call')),
    },
  });
  const { end, ran } = await forked({ execution_id: source.execution_id, from: 'last' });
  expect(ran).toEqual(['last']);
  expect(stepOf(end, 'last').outputs).toEqual([[2, 4], { only: 'child' }]);
  expect(stepOf(end, 'each')).not.toHaveProperty('scopes');
  expect(stepOf(end, 'call').children).toEqual([]);
  const again = await forked({ execution_id: source.execution_id, from: 'each' });
  expect(again.ran).toEqual(['last', 'one', 'one']);
});

test('a fork of another version reuses by key and type, and has the graph of that version', async () => {
  const name = `versions-${randomUUID()}`;
  await engine.publish({
    name,
    steps: { one: record(1), two: record(2, after('one')), three: record(3, after('two')) },
  });
  const source = await engine.end(await engine.start(name));
  await engine.publish({
    name,
    steps: {
      one: record('new'),
      two: { type: 'transform', needs: ['one'], with: { value: 22 } },
      fresh: record('fresh'),
      three: record('${{ [steps.one.output, steps.two.output, steps.fresh.output] }}', after('two', 'fresh')),
    },
  });
  const { end, ran } = await forked({ execution_id: source.execution_id, from: 'three', version: 2 });
  expect(ran).toEqual(['fresh', 'three']);
  expect(end).toMatchObject({ version: 2, outputs: { three: [1, 22, 'fresh'] } });
  const missing = await fork({ execution_id: source.execution_id, from: 'three', version: 3 });
  expect(missing).toMatchObject({ status: 404, body: { code: 'template_not_found' } });
});

test('the same idempotency key is one fork, also for many at once, and outlives its source', async () => {
  const { execution_id } = await engine.run(DIAMOND, { inputs: { n: 1 } });
  const key = randomUUID();
  const body = { execution_id, from: 'meet' };
  const answers = await Promise.all(Array.from({ length: 8 }, () => fork(body, key)));
  expect(new Set(answers.map((answer) => answer.body.execution_id)).size).toBe(1);
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 200, 200, 200, 200, 200, 202]);
  expect(await fork({ ...body, from: 'left' }, key)).toMatchObject({
    status: 409,
    body: { code: 'idempotency_conflict' },
  });
  const { template } = await engine.client.status(execution_id);
  const start = engine.request('POST', '/api/v1/execution/start', {
    template,
    inputs: { n: 1 },
    idempotency_key: key,
  });
  expect(await start).toMatchObject({ status: 409, body: { code: 'idempotency_conflict' } });
  const id = String(answers[0]!.body.execution_id);
  const before = await engine.end(id);
  await database.pool.query('delete from workflow_executions where id = $1', [execution_id]);
  expect(await fork(body, key)).toMatchObject({ status: 200, body: { execution_id: id, created: false } });
  expect(await engine.client.status(id, { includeOutputs: true })).toEqual(before);
});

test('what cannot be forked is refused, and nothing is started', async () => {
  const { execution_id } = await engine.run(DIAMOND, { inputs: { n: 1 } });
  const count = async () =>
    (await database.pool.query('select count(*) from workflow_executions')).rows[0].count;
  const before = await count();
  const table: [JsonObject, number, string][] = [
    [{ execution_id: randomUUID(), from: 'meet' }, 404, 'execution_not_found'],
    [{ execution_id, from: 'meat' }, 422, 'validation_failed'],
    [{ execution_id, from: 'each[3]/x' }, 422, 'validation_failed'],
    [{ execution_id }, 422, 'validation_failed'],
    [{ execution_id, from: 'meet', callback_url: 'https://example.com' }, 422, 'validation_failed'],
    [{ execution_id, from: 'meet', outputs: { meet: '\u0000' } }, 422, 'not_storable'],
  ];
  for (const [body, status, code] of table)
    expect([body, await fork(body)]).toMatchObject([body, { status, body: { code } }]);
  expect(await count()).toBe(before);
  const pending = await engine.start(await engine.publish({ steps: { a: record(1) } }), {
    start_after: '1h',
  });
  expect(await fork({ execution_id: pending, from: 'a' })).toMatchObject({
    status: 409,
    body: { code: 'wrong_state' },
  });
  await engine.client.cancel(pending);
});

test('a dry run says what begins and what is skipped, and starts nothing', async () => {
  const { execution_id } = await engine.run(ROUTED, { inputs: { way: 'a' } });
  const body = { execution_id, from: 'last', outputs: { choose: { routes: ['b'] } }, dry_run: true };
  expect(await fork(body)).toEqual({
    status: 200,
    body: { dry_run: true, resets: [], starts: ['b', 'last'], cancels: [], skips: ['a'], warnings: [] },
  });
  const { rows } = await database.pool.query('select 1 from workflow_executions where forked_from = $1', [
    execution_id,
  ]);
  expect(rows).toEqual([]);
});

/** The undoing of `pay` fails as often as `broken` says. */
const SAGA = (broken: boolean): JsonObject => ({
  steps: {
    pay: record('paid', {
      compensateWith: broken ? { type: 'fail', with: { code: 'no', message: 'no' } } : record('refunded'),
    }),
    ship: { type: 'fail', needs: ['pay'], when: '${{ input.fails }}', with: { code: 'bad', message: 'bad' } },
  },
});

test('a step that was compensated runs again; one whose compensation failed is refused until its output is given', async () => {
  const undone = await engine.run(SAGA(false), { inputs: { fails: true } });
  expect(stepOf(undone, 'pay').compensation).toMatchObject({ status: 'completed' });
  const again = await forked({ execution_id: undone.execution_id, from: 'ship', inputs: { fails: false } });
  expect(again).toMatchObject({ ran: ['pay'], end: { status: 'completed' } });
  const { execution_id } = await engine.run(SAGA(true), { inputs: { fails: true } });
  expect(await fork({ execution_id, from: 'ship' })).toMatchObject({
    status: 409,
    body: { code: 'not_compensated' },
  });
  const body = { execution_id, from: 'ship', inputs: { fails: false }, outputs: { pay: 'by hand' } };
  const given = await forked(body);
  expect(given).toMatchObject({ ran: [], end: { status: 'completed' } });
});

test('a fork says by whom and of what it was made', async () => {
  const { execution_id } = await engine.run(DIAMOND, { inputs: { n: 1 } });
  const { id } = await forked({ execution_id, from: 'meet' });
  const { rows } = await database.pool.query(
    'select sequence::integer, act, detail from workflow_execution_acts where execution_id = $1',
    [id],
  );
  expect(rows).toEqual([{ sequence: 1, act: 'fork', detail: { execution_id, from: 'meet' } }]);
});
