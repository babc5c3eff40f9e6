/**
 * `callback_url`: whoever started an execution is told when it is final, at least once, whatever happens meanwhile.
 */
import { expect, test } from 'bun:test';
import type { ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import type { JsonObject } from '../../../core/json/json.ts';
import type { EngineDatabase, EngineProcess } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { type HttpPeer, httpPeer } from '../../support/http-peer.ts';
import { until } from '../../support/until.ts';

interface Told {
  readonly method: string;
  readonly path: string;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: JsonObject;
}

let database: EngineDatabase;
let engine: EngineProcess;
let peer: HttpPeer;
/** Answers by path, taken one after the other; 204 when there are none. */
const answers = new Map<string, (number | 'hang')[]>();
const told: Told[] = [];
const heard: (() => void)[] = [];

const fixture = fixtureForAll(async () => {
  database = await fixture.database();
  const listening = httpPeer(async (request, response) => {
    const path = request.url!;
    const body = JSON.parse(await text(request));
    told.push({ method: request.method!, path, headers: request.headers, body });
    const answer = answers.get(path)?.shift() ?? 204;
    if (answer !== 'hang') response.writeHead(answer, answer === 302 ? { location: '/elsewhere' } : {}).end();
    for (const each of heard.splice(0)) each();
  });
  peer = await fixture.use(listening);
  engine = await launch('main');
});

function launch(name: string): Promise<EngineProcess> {
  const allow = { EXECUTION_ENGINE_HTTP_ALLOW: '127.0.0.1' };
  return fixture.engineProcess({ name, config: allow });
}

/** What arrived at the path, once there were so many. */
async function arrived(path: string, count: number): Promise<Told[]> {
  for (;;) {
    const found = told.filter((each) => each.path === path);
    if (found.length >= count) return found;
    await new Promise<void>((resolve) => heard.push(resolve));
  }
}

async function start(steps: JsonObject, path: string, more: JsonObject = {}): Promise<string> {
  const template = await engine.publish({ steps });
  return engine.start(template, { callback_url: `${peer.origin}${path}`, ...more });
}

const noJob = (id: string) =>
  database.until(`select count(*) = 0 from pgboss.job where data ->> 'execution_id' = $1`, [id]);

test('a completed execution is told once, with what it came to', async () => {
  const steps = { one: { type: 'record', with: { value: { ä: '${{ input.n }}' } } } };
  const id = await start(steps, '/completed?token=1', { inputs: { n: 7 }, tags: ['x'] });
  const [call] = await arrived('/completed?token=1', 1);
  const status = await engine.end(id);
  expect(call!.method).toBe('POST');
  expect(call!.headers).toMatchObject({ 'content-type': 'application/json', 'idempotency-key': id });
  expect(call!.body).toEqual({
    execution_id: id,
    status: 'completed',
    template: status.template,
    version: 1,
    outputs: { one: { ä: 7 } },
    error: null,
    tags: ['x'],
    completed_at: status.completed_at,
  });
  await noJob(id);
  expect(await arrived('/completed?token=1', 1)).toHaveLength(1);
});

test('a failed one is told its error', async () => {
  const id = await start({ one: { type: 'fail', with: { message: 'no', code: 'refused' } } }, '/failed');
  const [call] = await arrived('/failed', 1);
  expect(call!.body).toMatchObject({
    execution_id: id,
    status: 'failed',
    outputs: null,
    error: { code: 'refused', message: 'no', step: 'one' },
  });
  await noJob(id);
});

test('a cancelled one is told, and so is one that was stopped before it began', async () => {
  const gate = { one: { type: 'gate', with: { name: 'never' } } };
  const cancelled = await start(gate, '/cancelled');
  await database.until('select count(*) = 1 from test_runs where execution_id = $1', [cancelled]);
  await engine.request('POST', `/admin/executions/${cancelled}/cancel`, {});
  const stopped = await start(gate, '/stopped', { start_after: '1h' });
  await engine.request('POST', '/api/v1/execution/stop', { execution_id: stopped });
  expect((await arrived('/cancelled', 1))[0]!.body).toMatchObject({
    execution_id: cancelled,
    status: 'cancelled',
  });
  expect((await arrived('/stopped', 1))[0]!.body).toMatchObject({
    execution_id: stopped,
    status: 'cancelled',
  });
  await Promise.all([noJob(cancelled), noJob(stopped)]);
});

test('an execution that SQL started is told too', async () => {
  const template = await engine.publish({ steps: { one: { type: 'record' } } });
  const { rows } = await database.pool.query(`select workflow_start($1, '{}', $2) as id`, [
    template,
    { callback_url: `${peer.origin}/sql` },
  ]);
  const [call] = await arrived('/sql', 1);
  expect(call!.body.execution_id).toBe(rows[0].id);
});

test('anything but 2xx is tried again, and no redirect is followed', async () => {
  answers.set('/again', [500, 302]);
  const id = await start({ one: { type: 'record' } }, '/again');
  const calls = await arrived('/again', 3);
  expect(new Set(calls.map(({ headers }) => headers['idempotency-key']))).toEqual(new Set([id]));
  expect(told.filter(({ path }) => path === '/elsewhere')).toEqual([]);
  await noJob(id);
});

test('the first failed call of a receiver is a line with its reason and next try, and each call is counted', async () => {
  let calls = 0;
  await using busy = await httpPeer((_request, response) => {
    calls += 1;
    response.writeHead(calls === 1 ? 503 : 204).end();
  });
  const template = await engine.publish({ steps: { one: { type: 'record' } } });
  const id = await engine.start(template, { callback_url: `${busy.origin}/told?token=secret` });
  const lines = () => {
    const written = engine.output().split('\n');
    return written.filter((line) => line.includes(id) && line.includes('A callback failed'));
  };
  await until(() => calls > 1);
  await noJob(id);
  await until(() => lines().length > 0);
  expect(lines()).toHaveLength(1);
  expect(JSON.parse(lines()[0]!)).toMatchObject({
    level: 'warn',
    template,
    version: 1,
    receiver: new URL(busy.origin).host,
    attempt: 1,
    reason: 'the answer was 503',
    retry_in_ms: expect.any(Number),
    failures: 1,
  });
  const metrics = await (await fetch(`${engine.url}/metrics`)).text();
  expect(metrics).toMatch(/callback_calls_total\{result="failed"\} [1-9]/);
  expect(metrics).toMatch(/callback_calls_total\{result="delivered"\} [1-9]/);
});

test('a private address is not called, one line says so, and it is left for an engine that may call it', async () => {
  await using other = await httpPeer((_request, response) => response.end(), '127.0.0.2');
  const template = await engine.publish({ steps: { one: { type: 'record' } } });
  const id = await engine.start(template, { callback_url: `${other.origin}/private` });
  await engine.end(id);
  const job = `from pgboss.job where data ->> 'kind' = 'callback' and data ->> 'execution_id' = $1`;
  await database.until(`select (data ->> 'attempt')::integer > 2 ${job}`, [id]);
  expect(other.requests).toHaveLength(0);
  const lines = () =>
    engine
      .output()
      .split('\n')
      .filter((line) => line.includes(id) && line.includes('must not be called from here'));
  // The row may say so before the log has come through its pipe.
  await until(() => lines().length > 0);
  expect(lines()).toHaveLength(1);
  expect(lines()[0]).toContain('not a public address');
  // While an engine holds the job, it writes the next one: it is deleted between two attempts.
  const deleted = `with deleted as (delete ${job} and start_after > now() + interval '100 milliseconds' returning 1)
    select count(*) = 1 from deleted`;
  await database.until(deleted, [id]);
});

test('an engine that is killed between the end and the answer is made up for', async () => {
  answers.set('/killed', ['hang']);
  const first = await launch('first');
  engine.kill('SIGTERM');
  await engine.exited;
  const template = await first.publish({ steps: { one: { type: 'record' } } });
  const id = await first.start(template, { callback_url: `${peer.origin}/killed` });
  await arrived('/killed', 1);
  first.kill('SIGKILL');
  await first.exited;
  // The call that died is over after its lease; nothing else is waited for.
  await database.pool.query(
    `update pgboss.job set start_after = now() where data ->> 'execution_id' = $1 and start_after > now()`,
    [id],
  );
  engine = await launch('second');
  const calls = await arrived('/killed', 2);
  expect(calls[1]!.body).toEqual(calls[0]!.body);
  await noJob(id);
});

test('an engine that drains lets go of a call that hangs, and the next one calls at once', async () => {
  answers.set('/drained', ['hang']);
  const id = await start({ one: { type: 'record' } }, '/drained');
  await arrived('/drained', 1);
  engine.kill('SIGTERM');
  expect(await engine.exited).toBe(0);
  const { rows } = await database.pool.query(
    `select data ->> 'attempt' as attempt, start_after <= now() as due from pgboss.job where data ->> 'execution_id' = $1`,
    [id],
  );
  expect(rows).toEqual([{ attempt: '1', due: true }]);
  engine = await launch('third');
  await arrived('/drained', 2);
  await noJob(id);
});

test('a receiver that does not answer holds up only its own callbacks', async () => {
  let open = 0;
  let most = 0;
  let ended = 0;
  let answers = false;
  const held: ServerResponse[] = [];
  await using silent = await httpPeer((_request, response) => {
    if (answers) response.end();
    else held.push(response);
    open += 1;
    most = Math.max(most, open);
    response.once('close', () => {
      open -= 1;
      ended += 1;
    });
  });
  const template = await engine.publish({ steps: { one: { type: 'noop' } } });
  const startAll = (callback_url: string) =>
    Promise.all(Array.from({ length: 60 }, () => engine.start(template, { callback_url })));
  const unanswered = await startAll(`${silent.origin}/silent`);
  // Until they have all the places of one receiver.
  await until(() => most >= 12);
  await startAll(`${peer.origin}/answered`);
  await arrived('/answered', 60);
  expect(most).toBe(12);
  expect(ended).toBeLessThan(unanswered.length);
  answers = true;
  for (const response of held) response.end();
  await database.until(`select count(*) = 0 from pgboss.job where data ->> 'execution_id' = any($1)`, [
    unanswered,
  ]);
});

test('a URL that is none, is too long, or holds a password is refused', async () => {
  const template = await engine.publish({ steps: { one: { type: 'record' } } });
  const bad = [
    'ftp://shop.example/',
    'shop.example',
    `https://shop.example/${'x'.repeat(2_048)}`,
    'https://a:b@shop.example/',
    7,
  ];
  for (const callback_url of bad) {
    const { status } = await engine.request('POST', '/api/v1/execution/start', { template, callback_url });
    expect({ callback_url, status }).toEqual({ callback_url, status: 422 });
  }
  for (const callback_url of bad.slice(0, 4)) {
    const sql = database.pool.query(`select workflow_start($1, '{}', $2)`, [template, { callback_url }]);
    await expect(sql).rejects.toThrow('callback_url');
  }
});
