/**
 * Starts over HTTP: idempotency, many at once, later ones.
 */
import { expect, test } from 'bun:test';
import type { EngineDatabase, TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

let database: EngineDatabase;
let engine: TestEngine;
let peer: TestEngine;
let template: string;

fixtureForAll(async (fixture) => {
  database = await fixture.database();
  engine = await fixture.engine({ name: 'one' });
  peer = await fixture.engine({ name: 'two' });
  template = await engine.publish({
    input: { type: 'object', properties: { n: { type: 'integer' } } },
    steps: { a: { type: 'record', with: { value: '${{ input.n }}' } } },
  });
});

const start = (item: object, at: TestEngine = engine) =>
  at.requestAtLast('POST', '/api/v1/execution/start', { template, ...item });

test('of 50 starts at once with one key, on two engines, one creates the execution', async () => {
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, at) =>
      start({ inputs: { n: 1 }, idempotency_key: 'fifty' }, at % 2 === 0 ? engine : peer),
    ),
  );
  expect(answers.filter(({ body }) => body.created === true)).toHaveLength(1);
  expect(answers.filter(({ body }) => body.created === false)).toHaveLength(49);
  for (const { status, body } of answers) expect(status).toBe(body.created === true ? 202 : 200);
  const ids = new Set(answers.map(({ body }) => body.execution_id as string));
  expect(ids.size).toBe(1);
  const [id] = [...ids];
  expect((await engine.end(id!)).status).toBe('completed');
  expect(await database.runs(id)).toHaveLength(1);
});

test('50 keys at once, each used by four starts, make 50 executions', async () => {
  const answers = await Promise.all(
    Array.from({ length: 200 }, (_, at) =>
      start({ inputs: { n: at % 50 }, idempotency_key: `key-${at % 50}` }),
    ),
  );
  expect(answers.filter(({ body }) => body.created === true)).toHaveLength(50);
  const ids = new Set(answers.map(({ body }) => body.execution_id as string));
  expect(ids.size).toBe(50);
  await Promise.all([...ids].map((id) => engine.end(id)));
});

test('a key that is used again with other inputs, template or version is refused with 409', async () => {
  const other = await engine.publish({ steps: { a: { type: 'record' } } });
  const first = await start({ inputs: { n: 1 }, idempotency_key: 'conflict' });
  for (const item of [
    { inputs: { n: 2 } },
    { inputs: { n: 1 }, version: 1 },
    { inputs: { n: 1 }, template: other },
  ]) {
    const { status, body } = await start({ ...item, idempotency_key: 'conflict' });
    expect({ status, code: body.code }).toEqual({ status: 409, code: 'idempotency_conflict' });
  }
  await engine.end(first.body.execution_id as string);
});

test('inputs are compared by value: the order of keys and the spelling of numbers are no difference', async () => {
  const send = (inputs: string) =>
    fetch(`${engine.url}/api/v1/execution/start`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': 'canonical' },
      body: `{"template":"${template}","inputs":${inputs}}`,
    });
  const first = (await (await send('{"n":1,"z":{"a":1,"b":2}}')).json()) as { execution_id: string };
  const second = await send('{"z":{"b":2.0,"a":1e0},"n":1}');
  expect(second.status).toBe(200);
  expect(await second.json()).toMatchObject({ execution_id: first.execution_id, created: false });
  await engine.end(first.execution_id);
});

test('two ids that one double stands for are never one execution: the one it cannot hold is refused', async () => {
  const send = async (id: string) => {
    const response = await fetch(`${engine.url}/api/v1/execution/start`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': 'large' },
      body: `{"template":"${template}","inputs":{"id":${id}}}`,
    });
    const { code = null, execution_id } = (await response.json()) as Record<string, string>;
    return { status: response.status, code, execution_id };
  };
  const refused = { status: 422, code: 'number_not_exact' };
  expect(await send('9007199254740993')).toMatchObject(refused);
  const { execution_id, ...first } = await send('9007199254740992');
  expect(first).toEqual({ status: 202, code: null });
  expect(await send('9007199254740993')).toMatchObject(refused);
  expect(await send('9.007199254740992e15')).toMatchObject({ status: 200, execution_id });
  for (const other of ['9007199254740994', '"9007199254740993"']) {
    expect(await send(other)).toMatchObject({ status: 409, code: 'idempotency_conflict' });
  }
  expect((await engine.end(execution_id!)).inputs).toEqual({ id: 9007199254740992 });
});

test('a failed execution is given back for its key as well', async () => {
  const failing = await engine.publish({ steps: { f: { type: 'fail', with: { code: 'c', message: 'm' } } } });
  const first = await engine.client.start({ template: failing, idempotency_key: 'failing' });
  await engine.end(first.execution_id);
  const again = await engine.client.start({ template: failing, idempotency_key: 'failing' });
  expect(again).toEqual({ execution_id: first.execution_id, status: 'failed', created: false });
});

test('start-many starts all, in order', async () => {
  const items = Array.from({ length: 200 }, (_, n) => ({ template, inputs: { n } }));
  const started = await engine.client.startMany(items);
  expect(started).toHaveLength(200);
  const ends = await Promise.all(started.map(({ execution_id }) => engine.end(execution_id)));
  expect(ends.map(({ outputs }) => outputs)).toEqual(items.map(({ inputs }) => ({ a: inputs.n })));
});

test('start-many with one wrong item starts none', async () => {
  const count = async () =>
    (await database.pool.query('select count(*)::integer as n from workflow_executions')).rows[0].n;
  const before = await count();
  const used = await engine.client.start({ template, inputs: { n: 1 }, idempotency_key: 'many-used' });
  await engine.end(used.execution_id);
  const wrong = [
    { item: { template: 'nobody' }, status: 404 },
    { item: { template, inputs: { n: 'x' } }, status: 422 },
    { item: { template, inputs: { n: 2 }, idempotency_key: 'many-used' }, status: 409 },
  ];
  for (const { item, status } of wrong) {
    const items = [
      { template, inputs: { n: 1 } },
      { template, idempotency_key: `k${status}`, inputs: {} },
      item,
    ];
    const answer = await engine.request('POST', '/api/v1/execution/start-many', { items });
    expect(answer.status).toBe(status);
  }
  expect(await count()).toBe(before + 1);
});

test('a key that is twice in one start-many makes one execution', async () => {
  const item = { template, inputs: { n: 1 }, idempotency_key: 'twins' };
  const [first, second, third] = await engine.client.startMany([item, { template, inputs: { n: 2 } }, item]);
  expect(first!.created).toBe(true);
  expect(second!.execution_id).not.toBe(first!.execution_id);
  expect(third).toEqual({ ...first!, created: false });
  await Promise.all([first!, second!].map(({ execution_id }) => engine.end(execution_id)));
});

test('start-many with keys that race with single starts of the same keys makes each once', async () => {
  const keys = Array.from({ length: 20 }, (_, at) => `race-${at}`);
  const item = (idempotency_key: string) => ({ template, inputs: { n: 1 }, idempotency_key });
  const [many, ...single] = await Promise.all([
    engine.client.startMany(keys.map(item)),
    ...keys.toReversed().map((key) => peer.client.start(item(key))),
  ]);
  expect(new Set([...many, ...single].map(({ execution_id }) => execution_id)).size).toBe(20);
  expect([...many, ...single].filter(({ created }) => created)).toHaveLength(20);
  await Promise.all(many.map(({ execution_id }) => engine.end(execution_id)));
});

test('a start waits for one of the same key whose transaction takes longer than a commit may wait', async () => {
  const main = await database.pool.connect();
  await main.query('begin');
  const { rows } = await main.query(
    `select workflow_start($1, '{"n": 1}', '{"idempotency_key": "held"}') as id`,
    [template],
  );
  const started = start({ inputs: { n: 1 }, idempotency_key: 'held' });
  const waiting = `select true, max(xact_start)::text as since from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock' having max(xact_start)`;
  const { since } = await database.until(`${waiting} is not null`);
  // Until it has given up once and begun to wait again.
  await database.until(`${waiting} > $1::timestamptz`, [since]);
  await main.query('commit');
  main.release();
  const { status, body } = await started;
  expect([status, body.created, body.execution_id]).toEqual([200, false, rows[0].id]);
  await engine.end(rows[0].id);
});

test('of many starts with a key that an open transaction holds, one at a time waits in the database', async () => {
  const main = await database.pool.connect();
  await main.query('begin');
  const { rows } = await main.query(
    `select workflow_start($1, '{"n": 1}', '{"idempotency_key": "crowd"}') as id`,
    [template],
  );
  const crowd = Array.from({ length: 30 }, () => start({ inputs: { n: 1 }, idempotency_key: 'crowd' }));
  const blocked = `select count(*) > 0, count(*)::int as count from pg_stat_activity
    where datname = current_database() and wait_event = 'transactionid' and query like '%insert into workflow_executions%'`;
  await database.until(blocked);
  // Starts with other keys go on meanwhile, and at most one insert is seen to wait.
  for (let at = 0; at < 10; at += 1) {
    const { status, body } = await start({ inputs: { n: 1 }, idempotency_key: `beside-${at}` });
    expect(status).toBe(202);
    expect((await database.pool.query(blocked)).rows[0].count).toBeLessThanOrEqual(1);
    await engine.end(String(body.execution_id));
  }
  await main.query('commit');
  main.release();
  for (const { body } of await Promise.all(crowd))
    expect([body.created, body.execution_id]).toEqual([false, rows[0].id]);
  await engine.end(rows[0].id);
});

test('start_after puts the start off, for a time and until an instant', async () => {
  const soon = await engine.start(template, { inputs: { n: 1 }, start_after: 50 });
  const instant = await engine.start(template, { inputs: { n: 2 }, start_after: '2020-01-01T00:00:00Z' });
  const never = await engine.start(template, { inputs: { n: 3 }, start_after: '2999-01-01T00:00:00Z' });
  expect((await engine.end(soon)).status).toBe('completed');
  expect((await engine.end(instant)).status).toBe('completed');
  expect((await engine.client.status(never)).status).toBe('pending');
  const { rows } = await database.pool.query(
    `select started_at - created_at >= interval '50 milliseconds' as late from workflow_executions where id = $1`,
    [soon],
  );
  expect(rows[0].late).toBe(true);
  await engine.client.cancel(never);
});
