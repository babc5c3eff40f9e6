/** Steps of type webhook in started engines: each waits for one request to its URL. */
import { describe, expect, test } from 'bun:test';
import { createHmac } from 'node:crypto';
import { json } from 'node:stream/consumers';
import type { JsonObject } from '../../../core/json/json.ts';
import { createLog } from '../../../telemetry/log.ts';
import { answeringEngines, EDITOR, OPERATOR, VIEWER } from '../../support/api/answering-engines.ts';
import { type EngineDatabase, stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { httpPeer } from '../../support/http-peer.ts';
import { until } from '../../support/until.ts';

const BASE = 'https://flows.example/base';
const SECRET = 'a-secret-of-both-sides';

let database: EngineDatabase;
let engine: TestEngine;
let other: TestEngine;
const lines: string[] = [];

const fixture = fixtureForAll(
  async (made) => {
    const config = {
      EXECUTION_ENGINE_PUBLIC_URL: `${BASE}/`,
      EXECUTION_ENGINE_HTTP_ALLOW: '127.0.0.1',
      EXECUTION_ENGINE_MAX_OUTPUT_BYTES: '20000',
    };
    const destination = { write: (line: string) => void lines.push(line) };
    const log = createLog({ level: 'trace', pretty: false, secrets: [], destination });
    const answering = await answeringEngines(made, { config, log, secrets: { HOOK: SECRET } });
    database = answering.database;
    [engine, other] = answering.engines;
  },
  { allFinal: false },
);

/** The URL under which the engine is reached here. */
const at = (url: unknown, through = engine) => String(url).replace(BASE, through.url);
const hookStep = (params: JsonObject = {}, rest: JsonObject = {}): JsonObject => ({
  steps: { hook: { type: 'webhook', ...(Object.keys(params).length > 0 ? { with: params } : {}), ...rest } },
});

async function waiting(definition: JsonObject, key = 'hook') {
  const id = await engine.start(await engine.publish(definition));
  return { id, url: await urlOf(id, key) };
}

async function outputOf(id: string, key: string): Promise<string> {
  let output: unknown;
  await until(async () => {
    output = stepOf(await engine.client.status(id, { includeOutputs: true }), key).outputs;
    return output !== null && output !== undefined;
  });
  return String(output);
}

async function urlOf(id: string, key: string): Promise<string> {
  let url: unknown = null;
  await until(async () => {
    const { body } = await engine.request('GET', `/api/v1/execution/status?execution_id=${id}`);
    const steps = body.steps as { key: string; waiting_for: { kind: string; url: string } | null }[];
    const wait = steps.find((step) => step.key === key)?.waiting_for;
    url = wait?.kind === 'webhook' ? wait.url : null;
    return url !== null;
  });
  return String(url);
}

const post = (
  url: string,
  body: string | Buffer = '{"paid":true}',
  headers: Record<string, string> = JSON_TYPE,
) => fetch(at(url), { method: 'POST', body, headers });
const JSON_TYPE = { 'content-type': 'application/json' };
const codeOf = async (response: Response) => [
  response.status,
  ((await response.json()) as { code: string }).code,
];

describe('a webhook step', () => {
  test('waits for a request to its URL, which needs no key, and gives the request', async () => {
    const { id, url } = await waiting(hookStep());
    expect(url).toStartWith(`${BASE}/hooks/`);
    const response = await fetch(`${at(url)}?tag=a&tag=b&one=1`, {
      method: 'PUT',
      body: '{"paid":true}',
      headers: { ...JSON_TYPE, 'X-Own': 'Yes' },
    });
    expect([response.status, await response.text()]).toEqual([202, '']);
    const status = await engine.end(id);
    expect(status.status).toBe('completed');
    expect(stepOf(status, 'hook')).toMatchObject({ attempt_count: 1, waiting_for: null });
    expect(stepOf(status, 'hook').outputs).toMatchObject({
      method: 'PUT',
      headers: { 'x-own': 'Yes', 'content-type': 'application/json' },
      query: { tag: ['a', 'b'], one: '1' },
      body: { paid: true },
    });
  });

  test.each([
    ['text', 'plain', { 'content-type': 'text/plain' }, { body: 'plain' }],
    [
      'bytes',
      Buffer.from([0xff, 0x00]),
      { 'content-type': 'image/png' },
      { body: '/wA=', encoding: 'base64' },
    ],
    ['broken JSON', '{', JSON_TYPE, { body: '{' }],
    ['nothing', '', {}, { body: null }],
  ] as const)('takes a body of %s', async (_name, body, headers, output) => {
    const { id, url } = await waiting(hookStep());
    expect((await post(url, body, { ...headers })).status).toBe(202);
    expect(stepOf(await engine.end(id), 'hook').outputs).toMatchObject(output);
  });

  test('answers as its parameter says, fixed when it began to wait', async () => {
    const response = {
      status: 201,
      headers: { 'X-Ticket': '${{ input.ticket }}' },
      body: { ticket: '${{ input.ticket }}' },
    };
    const name = await engine.publish(hookStep({ response }));
    const url = await urlOf(await engine.start(name, { inputs: { ticket: 7 } }), 'hook');
    const answer = await post(url);
    expect([answer.status, answer.headers.get('x-ticket'), answer.headers.get('content-type')]).toEqual([
      201,
      '7',
      'application/json',
    ]);
    expect(await answer.json()).toEqual({ ticket: 7 });
    const text = await waiting(hookStep({ response: { status: 200, body: 'thank you' } }));
    const told = await post(text.url);
    expect([await told.text(), told.headers.get('content-type')]).toEqual([
      'thank you',
      'text/plain; charset=utf-8',
    ]);
  });

  test('takes one request, from whichever engine it comes', async () => {
    const { id, url } = await waiting(hookStep());
    const send = (through: TestEngine, body: string) =>
      fetch(at(url, through), { method: 'POST', body, headers: JSON_TYPE });
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, n) => send(n % 2 === 0 ? engine : other, JSON.stringify({ n }))),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([
      202,
      ...Array.from({ length: 11 }, () => 409),
    ]);
    const refused = answers.filter(({ status }) => status === 409);
    for (const answer of refused) expect(await codeOf(answer)).toEqual([409, 'already_used']);
    const winner = answers.findIndex(({ status }) => status === 202);
    expect(stepOf(await engine.end(id), 'hook').outputs).toMatchObject({ body: { n: winner } });
    expect(await codeOf(await post(url))).toEqual([409, 'already_used']);
  });

  test('refuses other methods, and they use nothing', async () => {
    const { id, url } = await waiting(hookStep());
    for (const method of ['GET', 'DELETE', 'OPTIONS']) {
      const response = await fetch(at(url), { method });
      expect(response.headers.get('allow')).toBe('POST, PUT, PATCH');
      expect(await codeOf(response)).toEqual([405, 'method_not_allowed']);
    }
    expect((await fetch(at(url), { method: 'HEAD' })).status).toBe(405);
    expect((await post(url)).status).toBe(202);
    expect((await engine.end(id)).status).toBe('completed');
  });

  test('takes the methods that it names', async () => {
    const { id, url } = await waiting(hookStep({ methods: ['GET'] }));
    expect(await codeOf(await post(url))).toEqual([405, 'method_not_allowed']);
    expect((await fetch(`${at(url)}?ok=1`)).status).toBe(202);
    expect(stepOf(await engine.end(id), 'hook').outputs).toMatchObject({
      method: 'GET',
      query: { ok: '1' },
      body: null,
    });
  });

  test('refuses what fits no output, and it uses nothing', async () => {
    const { id, url } = await waiting(hookStep());
    expect(await codeOf(await post(url, JSON.stringify('x'.repeat(30_000))))).toEqual([
      413,
      'body_too_large',
    ]);
    expect(await codeOf(await post(url, '"\\u0000"'))).toEqual([422, 'not_storable']);
    expect(await codeOf(await post(url, '12345678901234567890'))).toEqual([422, 'number_not_exact']);
    expect((await post(url)).status).toBe(202);
    expect((await engine.end(id)).status).toBe('completed');
  });

  test('of a made-up URL is not there', async () => {
    const { url } = await waiting(hookStep());
    for (const changed of [`${url}A`, url.slice(0, -1), `${BASE}/hooks/x`, `${BASE}/hooks/${'A'.repeat(60)}`])
      expect(await codeOf(await post(changed))).toEqual([404, 'hook_not_found']);
  });

  test('that has timed out takes nothing, and with a retry the same URL counts for its next attempt', async () => {
    const over = await waiting(hookStep({ timeout: '100ms' }));
    expect(stepOf(await engine.end(over.id), 'hook').error?.code).toBe('timeout');
    expect(await codeOf(await post(over.url))).toEqual([409, 'wrong_state']);

    const retry = { limit: 5, delay: '1ms', jitter: false };
    const again = await waiting(hookStep({ timeout: '1s' }, { retry }));
    await until(async () => {
      const status = await engine.client.status(again.id);
      return stepOf(status, 'hook').attempt_count >= 2;
    });
    expect(await urlOf(again.id, 'hook')).toBe(again.url);
    expect((await post(again.url)).status).toBe(202);
    expect((await engine.end(again.id)).status).toBe('completed');
  });

  test('has no second timeout', async () => {
    const { status, body } = await engine.request('POST', '/api/v1/templates', {
      name: 'two-timeouts',
      ...hookStep({ timeout: '1m' }, { timeout: '1m' }),
    });
    expect([status, (body.errors as JsonObject[])[0]!.pointer]).toEqual([422, '/steps/hook/timeout']);
  });

  test('ends by hand too', async () => {
    const { id, url } = await waiting(hookStep());
    const { steps } = await engine.client.status(id);
    const done = await engine.request('POST', `/api/v1/steps/${steps[0]!.id}/complete`, {
      output: 'by hand',
    });
    expect(done.status).toBe(200);
    expect(stepOf(await engine.end(id), 'hook').outputs).toBe('by hand');
    expect(await codeOf(await post(url))).toEqual([409, 'already_used']);
  });
});

describe('execution.hooks', () => {
  test('has the URL before the step begins, and a request that comes too early is held', async () => {
    const answers: Promise<Response>[] = [];
    await using peer = await httpPeer(async (request, response) => {
      const chunks = await Array.fromAsync(request as AsyncIterable<Buffer>);
      const { reply } = JSON.parse(Buffer.concat(chunks).toString()) as { reply: string };
      answers.push(post(reply, '{"early":true}'));
      response.end();
    });
    const definition = {
      steps: {
        ask: {
          type: 'http',
          with: { method: 'POST', url: peer.origin, body: { reply: '${{ execution.hooks.reply }}' } },
        },
        short: { type: 'delay', needs: ['ask'], with: { for: '300ms' } },
        reply: { type: 'webhook', needs: ['short'] },
      },
    };
    const id = await engine.start(await engine.publish(definition));
    const status = await engine.end(id);
    expect(stepOf(status, 'reply').outputs).toMatchObject({ body: { early: true } });
    expect((await answers[0]!).status).toBe(202);
  });

  test('takes a request long before the step waits, once, and keeps it for the step', async () => {
    const early = {
      steps: {
        ask: { type: 'transform', with: { value: '${{ execution.hooks.reply }}' } },
        go: { type: 'wait', needs: ['ask'], with: { signal: 'go' } },
        reply: {
          type: 'webhook',
          needs: ['go'],
          with: { methods: ['POST'], response: { status: 200, body: 'noted' } },
        },
      },
    };
    const id = await engine.start(await engine.publish(early));
    const url = await outputOf(id, 'ask');
    expect(await codeOf(await fetch(at(url), { method: 'PUT' }))).toEqual([405, 'method_not_allowed']);
    const answer = await post(url, '{"n":1}');
    expect([answer.status, await answer.text()]).toEqual([200, 'noted']);
    // The same request once more is another one.
    for (const body of ['{"n":1}', '{"n":2}'])
      expect(await codeOf(await post(url, body, {}))).toEqual([409, 'already_used']);
    await engine.request('POST', '/api/v1/execution/signal', { execution_id: id, signal: 'go' });
    expect(stepOf(await engine.end(id), 'reply').outputs).toMatchObject({ method: 'POST', body: { n: 1 } });
    expect(await codeOf(await post(url, '{"n":3}'))).toEqual([409, 'already_used']);
  });

  test('takes no request for a step that never comes', async () => {
    const skipped = {
      steps: {
        ask: { type: 'transform', with: { value: '${{ execution.hooks.reply }}' } },
        reply: { type: 'webhook', needs: ['ask'], when: false },
        hold: { type: 'wait', needs: ['ask'], with: { signal: 'go' } },
      },
    };
    const id = await engine.start(await engine.publish(skipped));
    const url = await outputOf(id, 'ask');
    await until(async () => stepOf(await engine.client.status(id), 'reply').status === 'skipped');
    expect(await codeOf(await post(url))).toEqual([409, 'wrong_state']);
    await engine.client.cancel(id);
    expect(await codeOf(await post(url))).toEqual([409, 'wrong_state']);
  });

  test('whose methods an expression says refuses an early request when it begins to wait, and it uses nothing', async () => {
    const choosing = {
      steps: {
        ask: { type: 'transform', with: { value: '${{ execution.hooks.reply }}' } },
        go: { type: 'wait', needs: ['ask'], with: { signal: 'go' } },
        reply: { type: 'webhook', needs: ['go'], with: { methods: ['${{ input.method }}'] } },
      },
    };
    const id = await engine.start(await engine.publish(choosing), { inputs: { method: 'PUT' } });
    const url = await outputOf(id, 'ask');
    const sent = post(url);
    await engine.request('POST', '/api/v1/execution/signal', { execution_id: id, signal: 'go' });
    expect(await codeOf(await sent)).toEqual([405, 'method_not_allowed']);
    await urlOf(id, 'reply');
    const { rows } = await database.pool.query(
      `select count(*)::integer as left from workflow_signals
        where workflow_execution_id = $1 and name like 'webhook:%' and used_at is null`,
      [id],
    );
    expect(rows[0].left).toBe(0);
    expect((await fetch(at(url), { method: 'PUT' })).status).toBe(202);
    expect((await engine.end(id)).status).toBe('completed');
  });

  test('is another URL in each scope, and steps of a scope see those around it', async () => {
    const urls: { own: string; outer: string }[] = [];
    await using peer = await httpPeer(async (request, response) => {
      urls.push((await json(request)) as (typeof urls)[number]);
      response.end();
    });
    const body = { own: '${{ execution.hooks.own }}', outer: '${{ execution.hooks.outer }}' };
    const definition = {
      steps: {
        each: {
          type: 'foreach',
          with: {
            items: 3,
            steps: {
              ask: { type: 'http', with: { method: 'POST', url: peer.origin, body } },
              own: { type: 'webhook', needs: ['ask'] },
            },
            output: '${{ steps.own.output.body }}',
          },
        },
        outer: { type: 'webhook' },
      },
    };
    const id = await engine.start(await engine.publish(definition));
    await until(() => urls.length === 3);
    expect(new Set(urls.map(({ own }) => own)).size).toBe(3);
    expect(new Set(urls.map(({ outer }) => outer))).toEqual(new Set([await urlOf(id, 'outer')]));
    for (const { own } of urls) expect((await post(own, `"${own.slice(-8)}"`)).status).toBe(202);
    for (const { own } of urls) expect(await codeOf(await post(own))).toEqual([409, 'already_used']);
    await post(urls[0]!.outer);
    const status = await engine.end(id);
    expect((stepOf(status, 'each').outputs as string[]).toSorted()).toEqual(
      urls.map(({ own }) => own.slice(-8)).sort(),
    );
  });

  test('is the URL that the status shows, also through the sandbox and in the output', async () => {
    const definition = {
      output: '${{ execution.hooks.hook }}',
      steps: {
        plain: { type: 'noop', with: { url: '${{ execution.hooks.hook }}' } },
        code: {
          type: 'noop',
          with: { urls: '${{ Object.entries(execution.hooks).map(([k, v]) => k + v) }}' },
        },
        hook: { type: 'webhook' },
      },
    };
    const { id, url } = await waiting(definition);
    await post(url);
    const status = await engine.end(id);
    expect(stepOf(status, 'plain').outputs).toEqual({ url });
    expect(stepOf(status, 'code').outputs).toEqual({ urls: [`hook${url}`] });
    expect(status.outputs).toBe(url);
  });
});

describe('the signature of a hook', () => {
  const signature = { scheme: 'github', secret: '${{ secrets.HOOK }}' };
  const sign = (body: string, secret = SECRET) => ({
    'x-hub-signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
  });

  test('is asked for before the body is read, and a wrong one uses nothing', async () => {
    const { id, url } = await waiting(hookStep({ signature }));
    const body = '{"paid":true}';
    for (const headers of [{}, sign('another body'), sign(body, 'another secret')])
      expect(await codeOf(await post(url, body, { ...JSON_TYPE, ...headers }))).toEqual([
        401,
        'invalid_signature',
      ]);
    expect((await post(url, body, { ...JSON_TYPE, ...sign(body) })).status).toBe(202);
    expect((await engine.end(id)).status).toBe('completed');
  });

  test('is no longer right after five minutes', async () => {
    const { url } = await waiting(hookStep({ signature: { ...signature, scheme: 'stripe' } }));
    const stripe = (seconds: number) => {
      const hex = createHmac('sha256', SECRET).update(`${seconds}.{}`).digest('hex');
      return { 'stripe-signature': `t=${seconds},v1=${hex}` };
    };
    const now = Math.floor(Date.now() / 1_000);
    expect(await codeOf(await post(url, '{}', stripe(now - 400)))).toEqual([401, 'invalid_signature']);
    expect((await post(url, '{}', stripe(now))).status).toBe(202);
  });

  test('whose secret is missing lets nothing in', async () => {
    const { url } = await waiting(
      hookStep({ signature: { scheme: 'github', secret: '${{ secrets.NONE }}' } }),
    );
    expect(await codeOf(await post(url, '{}', sign('{}')))).toEqual([401, 'invalid_signature']);
  });

  test.each([
    ['an unknown scheme', { scheme: 'md5', secret: 'x' }, '/signature/scheme'],
    [
      'an expression besides a secret',
      { scheme: 'hmac', secret: '${{ input.secret }}' },
      '/signature/secret',
    ],
  ])('with %s is refused at publish', async (_name, wrong, pointer) => {
    const { status, body } = await engine.request('POST', '/api/v1/templates', {
      name: 'wrong-signature',
      ...hookStep({ signature: wrong }),
    });
    expect(status).toBe(422);
    expect(body.errors).toMatchObject([{ pointer: `/steps/hook/with${pointer}`, code: 'invalid_params' }]);
  });
});

describe('the URL of a hook', () => {
  test('is shown to operators, and not to viewers', async () => {
    const { body } = await engine.request(
      'POST',
      '/api/v1/templates',
      { name: 'seen', ...hookStep() },
      EDITOR,
    );
    expect(body.name).toBe('seen');
    const started = await engine.request('POST', '/api/v1/execution/start', { template: 'seen' }, OPERATOR);
    const id = String(started.body.execution_id);
    const url = await urlOf(id, 'hook');
    const waits = async (key: string) => {
      const status = await engine.request(
        'GET',
        `/api/v1/execution/status?execution_id=${id}`,
        undefined,
        key,
      );
      const [{ id: step }] = status.body.steps as { id: string }[] as [{ id: string }];
      const one = await engine.request('GET', `/api/v1/steps/${step}`, undefined, key);
      return [(status.body.steps as JsonObject[])[0]!.waiting_for, one.body.waiting_for];
    };
    expect(await waits(OPERATOR)).toEqual([
      { kind: 'webhook', url },
      { kind: 'webhook', url },
    ]);
    expect(await waits(VIEWER)).toEqual([
      { kind: 'webhook', url: null },
      { kind: 'webhook', url: null },
    ]);
    await post(url);
    await engine.end(id);
  });

  test('is in no row and no line of the log', async () => {
    const { id, url } = await waiting(hookStep());
    await post(url);
    await engine.end(id);
    const { rows } = await database.pool.query('select s::text as text from workflow_step_executions s');
    const seen = [...lines, ...rows.map(({ text }) => text)].join('\n');
    expect(seen).toContain(id);
    expect(seen).not.toContain(url.slice(url.lastIndexOf('/') + 1));
  });
});

describe('an engine without EXECUTION_ENGINE_PUBLIC_URL', () => {
  test('warns at publish, and fails the step and what reads its URL with not_configured', async () => {
    const { url } = await fixture.database();
    const bare = await fixture.engine({ url, name: 'bare' });
    const definition = {
      name: 'bare',
      steps: {
        hook: { type: 'webhook', retry: { limit: 3, delay: '1ms' } },
        reads: { type: 'noop', with: { url: '${{ execution.hooks.hook }}' } },
      },
      onFailure: 'continue',
    };
    const { status, body } = await bare.request('POST', '/api/v1/templates', definition);
    expect([status, body.warnings]).toMatchObject([
      201,
      [{ code: 'not_configured', pointer: '/steps/hook/type' }],
    ]);
    const end = await bare.end(await bare.start('bare'));
    for (const key of ['hook', 'reads'])
      expect(stepOf(end, key)).toMatchObject({ status: 'failed', error: { code: 'not_configured' } });
    expect(stepOf(end, 'hook').attempt_count).toBe(1);
  });
});
