/**
 * The step type `wait` and signals: early, late and repeated ones, through two engines and in SQL.
 */
import { describe, expect, test } from 'bun:test';
import { randomUUID } from 'node:crypto';
import type { JsonObject } from '../../../core/json/json.ts';
import { answeringEngines } from '../../support/api/answering-engines.ts';
import {
  type EngineCalls,
  type EngineDatabase,
  statuses,
  stepOf,
  type TestEngine,
} from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

const SECRET = 'a-secret-of-the-operator';

let database: EngineDatabase;
let engines: readonly TestEngine[];
let engine: TestEngine;
let stranger: EngineCalls;

fixtureForAll(async (made) => {
  ({ database, engines, stranger } = await answeringEngines(made, { secrets: { TOKEN: SECRET } }));
  engine = engines[0]!;
});

const WAITS = { steps: { pay: { type: 'wait', with: { signal: 'paid' } } } };
const AMOUNT = { type: 'object', required: ['amount'], properties: { amount: { type: 'number' } } };

const start = async (definition: JsonObject = WAITS) => engine.start(await engine.publish(definition));

function send(id: string, body: JsonObject, calls: EngineCalls = engine) {
  return calls.request('POST', '/api/v1/execution/signal', { execution_id: id, signal: 'paid', ...body });
}

async function isWaiting(id: string, count = 1): Promise<void> {
  await database.until(
    `select count(*) = $2 from workflow_step_executions where workflow_execution_id = $1 and status = 'waiting'`,
    [id, count],
  );
}

/** No ticket of the execution is left: everything that was sent or waits has been looked at. */
async function isLookedAt(id: string): Promise<void> {
  await database.until(
    `select count(*) = 0 from pgboss.job where data ->> 'kind' = 'signals' and data ->> 'execution_id' = $1`,
    [id],
  );
}

describe('a step that waits for a signal', () => {
  test('says so, and its output is the payload', async () => {
    const id = await start();
    await isWaiting(id);
    const [step] = (await engine.client.status(id)).steps;
    expect(step).toMatchObject({ status: 'waiting', waiting_for: { kind: 'signal', name: 'paid' } });
    const { status, body } = await send(id, { payload: { amount: 20 } });
    expect({ status, body }).toEqual({
      status: 200,
      body: { execution_id: id, status: 'running', duplicate: false, kept: false },
    });
    const end = await engine.end(id);
    expect(end).toMatchObject({ status: 'completed', outputs: { pay: { amount: 20 } } });
    expect(stepOf(end, 'pay')).toMatchObject({ attempt_count: 1, waiting_for: null });
  });

  test('takes a signal that came before, also before the execution began', async () => {
    const id = await engine.start(await engine.publish(WAITS), { start_after: '1h' });
    expect((await send(id, { payload: 'early' })).body).toMatchObject({ status: 'pending' });
    await database.pool.query(
      `update pgboss.job set start_after = now() where data ->> 'execution_id' = $1`,
      [id],
    );
    expect((await engine.end(id)).outputs).toEqual({ pay: 'early' });
  });

  test('leaves nothing behind while it waits: no job, no timer, no statement about it', async () => {
    const id = await start();
    await isWaiting(id);
    await isLookedAt(id);
    const { rows } = await database.pool.query(
      `select count(*)::integer as count from pgboss.job where data ->> 'execution_id' = $1`,
      [id],
    );
    expect(rows[0].count).toBe(0);
    await engine.client.cancel(id);
  });

  test('fails at its timeout, may be retried, and then still takes the signal', async () => {
    const definition = (limit: number) => ({
      steps: {
        pay: {
          type: 'wait',
          with: { signal: 'paid', timeout: '30ms' },
          retry: { limit, delay: 0, jitter: false },
        },
      },
    });
    expect((await engine.run(definition(0))).error).toMatchObject({ code: 'timeout', step: 'pay' });
    const id = await start(definition(1_000));
    await database.until(
      'select attempt_count > 2 from workflow_step_executions where workflow_execution_id = $1',
      [id],
    );
    await send(id, { payload: 'at last' });
    expect((await engine.end(id)).outputs).toEqual({ pay: 'at last' });
  });

  test('is not ended by a signal of another name, or for another scope', async () => {
    const id = await start();
    await isWaiting(id);
    await send(id, { signal: 'refused' });
    await send(id, { scope: 'each[3]' });
    await isLookedAt(id);
    expect(statuses(await engine.client.status(id))).toEqual({ pay: 'waiting' });
    await send(id, { scope: '', payload: 'mine' });
    expect((await engine.end(id)).outputs).toEqual({ pay: 'mine' });
  });

  test('waits again after each signal, and each signal ends one wait, in the order in which they came', async () => {
    const chain = Object.fromEntries(
      Array.from({ length: 12 }, (_, at) => [
        `w${at}`,
        { type: 'wait', with: { signal: 'paid' }, needs: at === 0 ? [] : [`w${at - 1}`] },
      ]),
    );
    const id = await start({ steps: chain, output: '${{ Object.values(steps).map((s) => s.output) }}' });
    for (let at = 0; at < 12; at += 1) await send(id, { payload: at }, engines[at % 2]);
    const end = await engine.end(id);
    for (let at = 0; at < 12; at += 1) {
      const { body } = await engine.request('GET', `/api/v1/steps/${stepOf(end, `w${at}`).id}`);
      expect([at, body.outputs]).toEqual([at, at]);
    }
  });

  test('that has waited longest is the first to go on', async () => {
    const id = await start({
      steps: {
        first: { type: 'wait', with: { signal: 'paid' } },
        gate: { type: 'gate', with: { name: 'second-may-wait' } },
        second: { type: 'wait', with: { signal: 'paid' }, needs: ['gate'] },
      },
    });
    await isWaiting(id);
    await database.openGate('second-may-wait');
    await isWaiting(id, 2);
    await send(id, { payload: 1 });
    await isWaiting(id);
    expect(statuses(await engine.client.status(id))).toMatchObject({ first: 'completed', second: 'waiting' });
    await send(id, { payload: 2 });
    expect((await engine.end(id)).outputs).toEqual({ first: 1, second: 2 });
  });
});

describe('a step inside a scope', () => {
  const EACH = {
    steps: {
      each: {
        type: 'foreach',
        with: { items: 4, steps: { pay: { type: 'wait', with: { signal: 'paid' } } } },
      },
    },
  };

  test('takes signals of the execution, those for its scope alone, and those that came before', async () => {
    const id = await start(EACH);
    await isWaiting(id, 5);
    await send(id, { payload: 'for the third', scope: 'each[2]' });
    await isWaiting(id, 4);
    for (const [at, payload] of ['first', 'second', 'third'].entries())
      expect((await send(id, { payload }, engines[at % 2])).status).toBe(200);
    const end = await engine.end(id);
    const items = (end.outputs as { each: { pay: string }[] }).each.map(({ pay }) => pay);
    expect(items[2]).toBe('for the third');
    expect(items.toSorted()).toEqual(['first', 'for the third', 'second', 'third']);
  });

  /** More of each than one look judges. */
  const MANY = 20;
  const each = (steps: JsonObject) => ({
    steps: { each: { type: 'foreach', with: { items: MANY, concurrency: MANY, steps } } },
  });

  test('takes its own signal, however many older waits there are', async () => {
    const id = await start(each({ pay: { type: 'wait', with: { signal: 'paid' } } }));
    await isWaiting(id, MANY + 1);
    for (let at = MANY - 1; at > 0; at -= 1) await send(id, { payload: at, scope: `each[${at}]` });
    await isWaiting(id, 2);
    await send(id, { payload: 0 });
    const { outputs } = await engine.end(id);
    expect(outputs).toEqual({ each: Array.from({ length: MANY }, (_, at) => ({ pay: at })) });
  });

  test('takes a signal of the execution, however many older ones are for others', async () => {
    const id = await start({
      steps: {
        ...each({ pay: { type: 'wait', with: { signal: 'paid' }, when: '${{ false }}' } }).steps,
        own: { type: 'wait', needs: ['each'], with: { signal: 'paid' } },
      },
    });
    for (let at = 0; at < MANY; at += 1) await send(id, { payload: at, scope: `other[${at}]` });
    await isWaiting(id);
    await send(id, { payload: 'mine' });
    expect((await engine.end(id)).outputs).toMatchObject({ own: 'mine' });
  });

  test('meets signals that are sent while its scope is opened, each once', async () => {
    const template = await engine.publish(EACH);
    const ids = await Promise.all(Array.from({ length: 6 }, () => engine.start(template)));
    await Promise.all(
      ids.flatMap((id) => Array.from({ length: 4 }, (_, at) => send(id, { payload: at }, engines[at % 2]))),
    );
    for (const id of ids) {
      const end = await engine.end(id);
      const items = (end.outputs as { each: { pay: number }[] }).each.map(({ pay }) => pay);
      expect(items.toSorted()).toEqual([0, 1, 2, 3]);
    }
  });
});

describe('a payload', () => {
  const definition = { steps: { pay: { type: 'wait', with: { signal: 'paid', schema: AMOUNT } } } };

  test('that does not fit is 422 while a step waits, and changes nothing', async () => {
    const id = await start(definition);
    await isWaiting(id);
    const { status, body } = await send(id, { payload: { amount: 'twenty' }, signal_id: 'once' });
    expect([status, body.code]).toEqual([422, 'validation_failed']);
    expect(body.errors).toMatchObject([{ pointer: '/payload/amount' }]);
    // Its id was not used up.
    expect((await send(id, { payload: { amount: 20 }, signal_id: 'once' })).body.duplicate).toBe(false);
    expect((await engine.end(id)).outputs).toEqual({ pay: { amount: 20 } });
  });

  test('that was kept and does not fit is dropped when its turn comes, and the next one is tried', async () => {
    const id = await start({
      steps: {
        gate: { type: 'gate', with: { name: 'kept' } },
        pay: { ...definition.steps.pay, needs: ['gate'] },
      },
    });
    for (const amount of ['one', 'two', 3, 4])
      expect((await send(id, { payload: { amount } })).status).toBe(200);
    await database.openGate('kept');
    expect((await engine.end(id)).outputs).toEqual({ pay: { amount: 3 } });
    const { rows } = await database.pool.query(
      `select refusal, used_at is not null as used, payload from workflow_signals
        where workflow_execution_id = $1 order by id`,
      [id],
    );
    expect(rows).toMatchObject([
      { refusal: expect.stringContaining('payload/amount: '), used: true, payload: null },
      { refusal: expect.any(String), used: true, payload: null },
      { refusal: null, used: true, payload: null },
      { refusal: null, used: false, payload: { amount: 4 } },
    ]);
  });

  test('is checked against a schema that is published only when it is right, and is never evaluated', async () => {
    const wrong = {
      name: 'wrong',
      steps: { pay: { type: 'wait', with: { signal: 'x', schema: { type: 'no' } } } },
    };
    const { status, body } = await engine.request('POST', '/api/v1/templates', wrong);
    expect([status, body.errors]).toMatchObject([
      422,
      [{ pointer: '/steps/pay/with/schema/type', code: 'invalid_schema' }],
    ]);
  });

  test('is masked, stored once, and at most as large as an output', async () => {
    const id = await start();
    await isWaiting(id);
    expect((await send(id, { payload: 'x'.repeat(1_100_000) })).body).toMatchObject({
      status: 422,
      code: 'not_storable',
    });
    await send(id, { payload: { token: SECRET } });
    expect((await engine.end(id)).outputs).toEqual({ pay: { token: '***' } });
    const { rows } = await database.pool.query(
      'select payload from workflow_signals where workflow_execution_id = $1',
      [id],
    );
    expect(rows).toEqual([{ payload: null }]);
  });
});

describe('a signal_id', () => {
  test('counts once per execution, also when the signal is used and the execution over', async () => {
    const id = await start({
      steps: {
        one: { type: 'wait', with: { signal: 'paid' } },
        two: { type: 'wait', with: { signal: 'paid' }, needs: ['one'] },
      },
    });
    const sent = await Promise.all(
      Array.from({ length: 10 }, (_, at) =>
        send(id, { payload: { n: 1, m: 2 }, signal_id: 'a' }, engines[at % 2]),
      ),
    );
    expect(sent.map(({ status }) => status)).toEqual(Array(10).fill(200));
    expect(sent.filter(({ body }) => body.duplicate === false)).toHaveLength(1);
    await database.until(
      `select count(*) filter (where status = 'completed') = 1 and count(*) filter (where status = 'waiting') = 1
         from workflow_step_executions where workflow_execution_id = $1`,
      [id],
    );
    await isLookedAt(id);
    expect((await send(id, { payload: { m: 2, n: 1 }, signal_id: 'a' })).body).toMatchObject({
      duplicate: true,
    });
    for (const other of [{ payload: 2 }, { payload: { n: 1, m: 2 }, signal: 'other' }]) {
      const { body } = await send(id, { ...other, signal_id: 'a' });
      expect(body).toMatchObject({ status: 409, code: 'idempotency_conflict' });
    }
    await send(id, { payload: 2, signal_id: 'b' });
    expect((await engine.end(id)).outputs).toEqual({ two: 2 });
    expect((await send(id, { payload: 2, signal_id: 'b' })).body).toMatchObject({
      duplicate: true,
      status: 'completed',
    });
  });
});

describe('an execution', () => {
  test('that is over or being stopped takes no signal: 409', async () => {
    const done = await engine.run({ steps: { a: { type: 'noop' } } });
    expect((await send(done.execution_id, {})).body).toMatchObject({ status: 409, code: 'wrong_state' });
    const id = await start({ steps: { deaf: { type: 'deaf', with: { name: 'stopped' } } } });
    await database.until('select count(*) = 1 from test_runs where execution_id = $1', [id]);
    await engine.client.stop(id);
    expect((await send(id, {})).body).toMatchObject({ status: 409, code: 'wrong_state' });
    await database.openGate('stopped');
    await engine.end(id);
  });

  test('gets each signal of many that come at once, beside one that is over and one whose row is locked', async () => {
    const ids = await Promise.all(Array.from({ length: 20 }, () => start()));
    const over = ids[3]!;
    const locked = ids[7]!;
    await Promise.all(ids.map((id) => isWaiting(id)));
    await engine.client.cancel(over);
    const holder = await database.pool.connect();
    await holder.query('begin');
    await holder.query('select from workflow_executions where id = $1 for update', [locked]);
    const sent = ids.map((id, at) => send(id, { payload: at }));
    const free = sent.filter((_, at) => ids[at] !== locked);
    const answers = (await Promise.all(free)).map(({ body }) => body.status);
    expect(answers).toEqual(free.map((_, at) => (at === 3 ? 409 : 'running')));
    await holder.query('rollback');
    holder.release();
    expect((await sent[7]!).body).toMatchObject({ status: 'running', duplicate: false });
    for (const [at, id] of ids.entries())
      if (id !== over) expect((await engine.end(id)).outputs).toEqual({ pay: at });
  });

  test('of another workspace, or an unknown one, is 404', async () => {
    const id = await start();
    for (const [calls, wanted] of [
      [stranger, id],
      [engine, randomUUID()],
    ] as const)
      expect((await send(wanted, {}, calls)).body).toMatchObject({
        status: 404,
        code: 'execution_not_found',
      });
    await engine.client.cancel(id);
  });

  test('keeps a thousand signals and no more: 409', async () => {
    const id = await start({
      steps: { gate: { type: 'gate', with: { name: 'many' } }, pay: { ...WAITS.steps.pay, needs: ['gate'] } },
    });
    await database.pool.query(
      `select workflow_signal($1, 'paid', to_jsonb(n), null) from generate_series(1, 990) n`,
      [id],
    );
    const many = await Promise.all(Array.from({ length: 20 }, (_, at) => send(id, {}, engines[at % 2])));
    expect(many.filter(({ status }) => status === 200)).toHaveLength(10);
    await database.pool.query(
      'delete from workflow_signals where id = (select max(id) from workflow_signals where workflow_execution_id = $1)',
      [id],
    );
    expect((await send(id, { payload: 1_000, signal_id: 'last' })).status).toBe(200);
    expect((await send(id, { payload: 1_001 })).body).toMatchObject({
      status: 409,
      code: 'too_many_signals',
    });
    expect((await send(id, { payload: 1_000, signal_id: 'last' })).body).toMatchObject({ duplicate: true });
    await database.openGate('many');
    expect((await engine.end(id)).outputs).toEqual({ pay: 1 });
  });
});

test('a signal whose ticket somebody deleted is found by the doctor, and used after a repair', async () => {
  const id = await start();
  await isWaiting(id);
  await isLookedAt(id);
  await database.pool.query(
    `insert into workflow_signals (workflow_execution_id, name, payload_hash, payload) values ($1, 'paid', '', '"found"')`,
    [id],
  );
  const { body } = await engine.request('POST', '/admin/doctor/repair', { grace_seconds: 0 });
  expect(body.repaired).toContainEqual({ invariant: 'signal-overlooked', count: 1 });
  expect((await engine.end(id)).outputs).toEqual({ pay: 'found' });
});

test('a bad request is 422', async () => {
  const id = await start();
  for (const body of [
    { signal: '' },
    { signal: 'a\nb' },
    { signal: 'x'.repeat(201) },
    { signal_id: '' },
    { more: 1 },
  ])
    expect((await send(id, body)).status).toBe(422);
  await engine.client.cancel(id);
});

test('signals and waits that meet at the same moment, on two engines, find each other, each once', async () => {
  const steps = Object.fromEntries(
    Array.from({ length: 10 }, (_, at) => [`w${at}`, { type: 'wait', with: { signal: 'paid' } }]),
  );
  const template = await engine.publish({ steps });
  const ids = await Promise.all(Array.from({ length: 12 }, () => engine.start(template)));
  // Sent while the steps begin to wait.
  await Promise.all(
    ids.flatMap((id) => Array.from({ length: 10 }, (_, at) => send(id, { payload: at }, engines[at % 2]))),
  );
  for (const id of ids) {
    const { status, outputs } = await engine.end(id);
    expect(status).toBe('completed');
    const values = Object.values(outputs as JsonObject).map(Number);
    expect(values.sort((a, b) => a - b)).toEqual(Array.from({ length: 10 }, (_, at) => at));
  }
});

describe('workflow_signal', () => {
  const call = (values: unknown[], client = database.pool) =>
    client.query('select workflow_signal($1, $2, $3, $4) as sent', values);

  test('takes effect with the commit of its caller, and not after a rollback', async () => {
    const id = await start();
    await isWaiting(id);
    const client = await database.pool.connect();
    try {
      await client.query('begin');
      await client.query('select workflow_signal($1, $2, $3, $4)', [id, 'paid', '"never"', null]);
      await client.query('rollback');
      await client.query('begin');
      await client.query('select workflow_signal($1, $2, $3, $4)', [id, 'paid', '{"by": "sql"}', 'from-sql']);
      expect(statuses(await engine.client.status(id))).toEqual({ pay: 'waiting' });
      await client.query('commit');
    } finally {
      client.release();
    }
    expect((await engine.end(id)).outputs).toEqual({ pay: { by: 'sql' } });
    expect((await call([id, 'paid', '{"by": "sql"}', 'from-sql'])).rows).toEqual([{ sent: false }]);
    expect((await send(id, { payload: { by: 'sql' }, signal_id: 'from-sql' })).body.duplicate).toBe(true);
  });

  test('refuses what HTTP refuses, with the same codes', async () => {
    const id = await start();
    const done = await engine.run({ steps: { a: { type: 'noop' } } });
    await call([id, 'paid', '1', 'taken']);
    const refused: [unknown[], string][] = [
      [[id, '', '1', null], 'validation_failed'],
      [[id, 'paid', '1', 'a\u0001b'], 'validation_failed'],
      [[randomUUID(), 'paid', '1', null], 'execution_not_found'],
      [[done.execution_id, 'paid', '1', null], 'wrong_state'],
      [[id, 'paid', '2', 'taken'], 'idempotency_conflict'],
      [[id, 'paid', '9007199254740993', null], 'number_not_exact'],
      [[id, 'paid', JSON.stringify('x'.repeat(1_100_000)), null], 'not_storable'],
      [[id, 'paid', `${'['.repeat(600)}${']'.repeat(600)}`, null], 'not_storable'],
    ];
    for (const [values, code] of refused) await expect(call(values)).rejects.toMatchObject({ detail: code });
    expect((await engine.end(id)).outputs).toEqual({ pay: 1 });
  });

  test('may be called by roles that it was granted to, and by no others', async () => {
    const { rows } = await database.pool.query(
      `select has_function_privilege('public', 'workflow_signal(uuid, text, jsonb, text, text)', 'execute') as everybody`,
    );
    expect(rows).toEqual([{ everybody: false }]);
  });
});
