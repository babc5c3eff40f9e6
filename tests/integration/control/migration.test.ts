/** Moves of executions to another version of their template, with two engines on one database. */
import { expect, test } from 'bun:test';
import { randomUUID } from 'node:crypto';
import type { Json, JsonObject } from '../../../core/json/json.ts';
import { type EngineDatabase, statuses, stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

let database: EngineDatabase;
let engine: TestEngine;
let other: TestEngine;

fixtureForAll(async (fixture) => {
  database = await fixture.database();
  engine = await fixture.engine({ name: 'one' });
  other = await fixture.engine({ name: 'two' });
});

/** The engines take turns: the one that moves an execution is as often one that has it in memory as one that has not. */
let turn = 0;
const migrate = (body: JsonObject) => {
  turn += 1;
  return (turn % 2 === 0 ? engine : other).request('POST', '/api/v1/execution/migrate', body);
};

const record = (value: Json, more: JsonObject = {}): JsonObject => ({
  type: 'record',
  with: { value },
  ...more,
});
const gate = (name: string, more: JsonObject = {}): JsonObject => ({
  type: 'gate',
  with: { name, value: name },
  ...more,
});
const after = (...needs: Json[]) => ({ needs });

/** Publishes two versions, and starts an execution of the first. */
async function started(first: JsonObject, second: JsonObject, inputs: Json = {}) {
  const name = `m-${randomUUID()}`;
  await engine.publish({ name, ...first });
  const execution_id = await engine.start(name, { inputs });
  await engine.publish({ name, ...second });
  return { name, execution_id };
}

/** Waits until a step has a status. */
const reaches = (id: string, key: string, status: string) =>
  database.until(
    `select true from workflow_step_executions s join workflow_step_templates t on t.id = s.step_template_id
      where s.workflow_execution_id = $1 and t.key = $2 and s.status = $3`,
    [id, key, status],
  );

test('what is over keeps its result, a handler that runs ends its attempt, and the rest is that of the new version', async () => {
  const name = randomUUID();
  const { execution_id } = await started(
    {
      steps: {
        first: record(1),
        slow: gate(name, after('first')),
        last: record('old', after('slow')),
        gone: record('gone', after('slow')),
      },
    },
    {
      steps: {
        fresh: record('fresh'),
        slow: { type: 'gate', with: { name: 'never opened' }, ...after('first') },
        first: record('not again'),
        last: record(
          '${{ [steps.first.output, steps.slow.output, steps.fresh.output] }}',
          after('slow', 'fresh'),
        ),
        more: record('more', after('last')),
      },
      output: '${{ steps.last.output }}',
    },
  );
  await database.until(`select true from test_runs where execution_id = $1 and step = 'slow'`, [
    execution_id,
  ]);
  const moved = await migrate({ execution_id, version: 2 });
  expect(moved).toEqual({ status: 200, body: { execution_id, status: 'running', version: 2 } });
  await database.openGate(name);
  const end = await engine.end(execution_id);
  expect(end).toMatchObject({ status: 'completed', version: 2, outputs: [1, name, 'fresh'] });
  expect(Object.keys(statuses(end))).toEqual(['fresh', 'slow', 'first', 'last', 'more']);
  const runs = (await database.runs(execution_id)).map(({ step }) => step).sort();
  expect(runs).toEqual(['first', 'fresh', 'last', 'more', 'slow']);
  expect(stepOf(end, 'slow').attempt_count).toBe(1);
  const { rows } = await database.pool.query(
    'select act, detail from workflow_execution_acts where execution_id = $1',
    [execution_id],
  );
  expect(rows).toEqual([{ act: 'migrate', detail: { from_version: 1, version: 2, map: {} } }]);
});

test('steps change their keys by the map, and null drops a step that is over', async () => {
  const name = randomUUID();
  const { execution_id } = await started(
    {
      steps: {
        charge: record('charged'),
        legacy: record('legacy'),
        wait: gate(name),
        last: record('last', after('charge', 'wait')),
      },
    },
    {
      steps: {
        pay: record('again'),
        wait: gate(name),
        last: record('${{ steps.pay.output }}', after('pay', 'wait')),
      },
    },
  );
  await reaches(execution_id, 'charge', 'completed');
  await reaches(execution_id, 'legacy', 'completed');
  const refused = await migrate({ execution_id, version: 2 });
  expect(refused).toMatchObject({
    status: 409,
    body: {
      code: 'cannot_migrate',
      errors: [
        { pointer: '/map/charge', code: 'no_counterpart' },
        { pointer: '/map/legacy', code: 'no_counterpart' },
      ],
    },
  });
  const map = { charge: 'pay', legacy: null };
  const dry = await migrate({ execution_id, version: 2, map, dry_run: true });
  expect(dry).toMatchObject({ status: 200, body: { dry_run: true, starts: [], skips: [], cancels: [] } });
  expect(await migrate({ execution_id, version: 2, map })).toMatchObject({ status: 200 });
  await database.openGate(name);
  const end = await engine.end(execution_id);
  expect(statuses(end)).toEqual({ pay: 'completed', wait: 'completed', last: 'completed' });
  expect(stepOf(end, 'last').outputs).toBe('charged');
});

/** `from` moves to `to`; `refusal` is the code of the misfit of `key`. */
const REFUSED: [title: string, from: JsonObject, to: JsonObject, key: string, refusal: string][] = [
  ['a begun step of another type', { slow: gate('never') }, { slow: record(1) }, 'slow', 'other_type'],
  [
    'a begun step that the version does not have',
    { slow: gate('never') },
    { quick: record(1) },
    'slow',
    'no_counterpart',
  ],
  [
    'a final step of another type',
    { done: record(1), slow: gate('never') },
    { done: { type: 'noop' }, slow: gate('never') },
    'done',
    'other_type',
  ],
  [
    'open scopes whose inner steps differ',
    { slow: { type: 'foreach', with: { items: [1], steps: { one: gate('never') } } } },
    { slow: { type: 'foreach', with: { items: [1], steps: { one: gate('other') } } } },
    'slow',
    'open_scopes_differ',
  ],
  [
    'a failure that nothing handles any more',
    {
      broken: { type: 'fail', with: { code: 'x', message: 'x' } },
      slow: gate('never', after({ step: 'broken', on: 'failure' })),
    },
    { broken: { type: 'fail', with: { code: 'x', message: 'x' } }, slow: gate('never') },
    'broken',
    'failure_unhandled',
  ],
];

test.each(REFUSED)('%s is refused, and nothing changes', async (_title, from, to, key, refusal) => {
  const { execution_id } = await started({ steps: from }, { steps: to });
  await database.until(`select true from test_runs where execution_id = $1 and step in ('slow', 'one')`, [
    execution_id,
  ]);
  if (from.done !== undefined) await reaches(execution_id, 'done', 'completed');
  const before = await engine.client.status(execution_id, { includeOutputs: true });
  const answer = await migrate({ execution_id, version: 2 });
  expect(answer).toMatchObject({
    status: 409,
    body: { code: 'cannot_migrate', errors: [{ pointer: `/map/${key}`, code: refusal }] },
  });
  expect(await migrate({ execution_id, version: 2, dry_run: true })).toMatchObject({
    status: 409,
    body: { code: 'cannot_migrate' },
  });
  expect(await engine.client.status(execution_id, { includeOutputs: true })).toEqual(before);
  await engine.client.cancel(execution_id);
});

test('a parked step waits on: its timer, its signal and its task end it in the new version', async () => {
  const steps = (extra: JsonObject): JsonObject => ({
    ...extra,
    pause: { type: 'delay', with: { for: '2s' } },
    paid: { type: 'wait', with: { signal: 'paid' } },
    work: { type: 'task', with: { queue: 'q', input: 1 } },
  });
  const all = after('pause', 'paid', 'work');
  const { execution_id, name } = await started(
    { steps: { ...steps({}), last: record('old', all) } },
    {
      steps: {
        last: record(
          '${{ [steps.pause.status, steps.paid.output, steps.work.output, steps.a.output] }}',
          after('pause', 'paid', 'work', 'a'),
        ),
        ...steps({ a: record('a'), b: record('b') }),
      },
    },
  );
  for (const key of ['pause', 'paid', 'work']) await reaches(execution_id, key, 'waiting');
  const [task] = await engine.client.claimTasks({ queue: 'q', worker: 'w', max: 1, wait: '10s' });
  expect(await migrate({ execution_id, version: 2 })).toMatchObject({ status: 200 });
  await other.client.completeTask(task!.id, task!.token, 'done');
  await engine.client.signal({ execution_id, signal: 'paid', payload: 20 });
  const end = await engine.end(execution_id);
  expect(end).toMatchObject({ status: 'completed', template: name, version: 2 });
  expect(stepOf(end, 'last').outputs).toEqual(['completed', 20, 'done', 'a']);
});

test('open scopes and children go on, also of a holder with another key', async () => {
  const name = randomUUID();
  const child = await engine.publish({ steps: { only: gate(name) } });
  const inner = { one: gate(name), two: record('${{ [item, steps.before.output] }}', after('one')) };
  const each = (more: JsonObject): JsonObject => ({
    type: 'foreach',
    needs: ['before'],
    with: { items: [1, 2, 3], concurrency: 2, steps: inner, output: '${{ steps.two.output }}', ...more },
  });
  const { execution_id } = await started(
    { steps: { before: record('b'), each: each({}), call: { type: 'workflow', with: { name: child } } } },
    {
      steps: {
        extra: record('extra'),
        before: record('b'),
        call: { type: 'workflow', with: { name: child } },
        items: each({}),
        last: record('${{ [steps.items.output, steps.call.output] }}', after('items', 'call')),
      },
      output: '${{ steps.last.output }}',
    },
  );
  await database.until(`select count(*) = 2 from test_runs where execution_id = $1 and step = 'one'`, [
    execution_id,
  ]);
  await reaches(execution_id, 'call', 'waiting');
  expect(await migrate({ execution_id, version: 2, map: { each: 'items' } })).toMatchObject({ status: 200 });
  const scope = await engine.client.status(execution_id, { scope: 'items[1]' });
  expect(scope.steps.map(({ key, scope: path }) => [key, path])).toContainEqual(['one', 'items[1]']);
  await database.openGate(name);
  const end = await engine.end(execution_id);
  expect(end).toMatchObject({
    status: 'completed',
    outputs: [
      [
        [1, 'b'],
        [2, 'b'],
        [3, 'b'],
      ],
      { only: name },
    ],
  });
});

test('joins that have not fired are decided anew, and fired ones stay fired', async () => {
  const name = randomUUID();
  const { execution_id } = await started(
    {
      steps: {
        a: record('a'),
        slow: gate(name),
        fired: record('fired', after('a')),
        meet: record('meet', after('a', 'slow')),
        both: record('both', after('a', 'slow')),
      },
    },
    {
      steps: {
        a: record('a'),
        slow: gate(name),
        fresh: record('fresh', after('slow')),
        // Over already, though a step before it has not begun.
        fired: record('fired', after('a', 'fresh')),
        meet: record('meet', { needs: ['a', 'slow'], join: 'any' }),
        both: record('both', after('slow', { step: 'a', on: 'failure' })),
      },
    },
  );
  await reaches(execution_id, 'fired', 'completed');
  expect(await migrate({ execution_id, version: 2, dry_run: true })).toMatchObject({
    body: { starts: ['meet'] },
  });
  expect(await migrate({ execution_id, version: 2 })).toMatchObject({ status: 200 });
  await reaches(execution_id, 'meet', 'completed');
  await database.openGate(name);
  const end = await engine.end(execution_id);
  expect(new Set(Object.values(statuses(end)))).toEqual(new Set(['completed']));
  const runs = (await database.runs(execution_id)).map(({ step }) => step).sort();
  expect(runs).toEqual(['a', 'both', 'fired', 'fresh', 'meet', 'slow']);
  expect(
    stepOf(end, 'fired')
      .received_inputs.map(({ key }) => key)
      .sort(),
  ).toEqual(['a', 'fresh']);
});

test('a version in which everything is over ends the execution', async () => {
  const { execution_id } = await started(
    {
      steps: {
        a: record('a'),
        slow: { type: 'wait', with: { signal: 'never' }, needs: [] },
        last: record('last', after('slow')),
      },
    },
    { steps: { a: record('a') } },
  );
  await reaches(execution_id, 'a', 'completed');
  await reaches(execution_id, 'slow', 'waiting');
  expect(await migrate({ execution_id, version: 2 })).toMatchObject({
    status: 409,
    body: { code: 'cannot_migrate' },
  });
  await engine.client.signal({ execution_id, signal: 'never' });
  await engine.end(execution_id);
  const name = randomUUID();
  const next = await started(
    { steps: { a: record('a'), slow: gate(name), last: record('last', after('slow')) } },
    { steps: { a: record('a'), slow: gate(name) }, output: '${{ steps.slow.output }}' },
  );
  await database.until(`select true from test_runs where execution_id = $1 and step = 'slow'`, [
    next.execution_id,
  ]);
  expect(await migrate({ execution_id: next.execution_id, version: 2 })).toMatchObject({ status: 200 });
  await database.openGate(name);
  expect(await engine.end(next.execution_id)).toMatchObject({ status: 'completed', outputs: name });
});

test('a pending execution begins with the new version; policy and timeout are the new ones', async () => {
  const pending = await started({ steps: { a: record('old') } }, { steps: { a: record('new') } });
  await engine.end(pending.execution_id);
  const delayed = await engine.start(pending.name, { version: 1, start_after: '1500ms' });
  expect(await migrate({ execution_id: delayed, version: 2 })).toMatchObject({ body: { status: 'pending' } });
  expect(await engine.end(delayed)).toMatchObject({ version: 2, outputs: { a: 'new' } });
  const timed = await started(
    { timeout: '1h', steps: { slow: gate('never') } },
    { timeout: '500ms', steps: { slow: gate('never') } },
  );
  await reaches(timed.execution_id, 'slow', 'running');
  expect(await migrate({ execution_id: timed.execution_id, version: 2 })).toMatchObject({ status: 200 });
  expect(await engine.end(timed.execution_id)).toMatchObject({ status: 'timed_out' });
});

test('all executions that fit a filter move, and each that does not is named', async () => {
  const gates = randomUUID();
  const steps = (more: JsonObject) => ({
    steps: { slow: gate(gates), last: record('old', after('slow')), ...more },
  });
  const { name, execution_id } = await started(steps({}), steps({ last: record('new', after('slow')) }));
  const over = await engine.start(name, { version: 1 });
  await engine.client.cancel(over);
  await database.until(`select true from test_runs where execution_id = $1 and step = 'slow'`, [
    execution_id,
  ]);
  const body = { filter: { template: name }, version: 2 };
  const answer = {
    matched: 2,
    changed: 1,
    refused: [{ execution_id: over, code: 'wrong_state' }],
    more: false,
  };
  expect(await migrate({ ...body, dry_run: true })).toMatchObject({
    status: 200,
    body: { dry_run: true, ...answer },
  });
  expect(await migrate(body)).toMatchObject({ status: 200, body: answer });
  expect(await migrate({ ...body, filter: {} })).toMatchObject({
    status: 422,
    body: { code: 'filter_required' },
  });
  expect(await migrate({ ...body, execution_id })).toMatchObject({
    status: 422,
    body: { code: 'validation_failed' },
  });
  await database.openGate(gates);
  expect(await engine.end(execution_id)).toMatchObject({ version: 2, outputs: { last: 'new' } });
});

test('what does not move says why', async () => {
  const { execution_id, name } = await started({ steps: { a: record(1) } }, { steps: { a: record(2) } });
  await engine.end(execution_id);
  const open = await engine.start(await engine.publish({ steps: { slow: gate('never') } }));
  const table: [JsonObject, number, string][] = [
    [{ execution_id, version: 2 }, 409, 'wrong_state'],
    [{ execution_id: randomUUID(), version: 2 }, 404, 'execution_not_found'],
    [{ execution_id: open, version: 7 }, 404, 'template_not_found'],
    [{ execution_id: open, version: 1, map: { slaw: 'slow' } }, 422, 'validation_failed'],
    [{ execution_id: open, version: 1, map: { slow: 'slaw' } }, 422, 'validation_failed'],
    [{ execution_id: open }, 422, 'validation_failed'],
    [{ execution_id: open, version: 0 }, 422, 'validation_failed'],
  ];
  for (const [body, status, code] of table)
    expect([body, await migrate(body)]).toMatchObject([body, { status, body: { code } }]);
  expect(await migrate({ execution_id: open, version: 1 })).toMatchObject({
    status: 200,
    body: { version: 1 },
  });
  await engine.client.cancel(open);
  expect(name).toBeString();
});
