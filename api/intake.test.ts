/** Bodies that are in work at the same time, and the requests that are refused for them. */
import { describe, expect, test } from 'bun:test';
import { createTestApp, keyOf, LIMITS, LOOPBACK, problemOf } from '../tests/support/api/test-app.ts';
import { until } from '../tests/support/until.ts';
import { createAuth } from './auth.ts';
import { Intake } from './intake.ts';

const PATH = '/api/v1/execution/start';
/** Of 100,000 that the test application works on at a time, and 20,000 in one body. */
const LARGE = 'x'.repeat(18_000);

/** An application whose starts wait until they are released. */
function waitingApp() {
  const refused: true[] = [];
  const gate = Promise.withResolvers<void>();
  const testApp = createTestApp({ deps: { onIntakeRefused: () => refused.push(true) } });
  testApp.ports.before = (name) => (name === 'start' ? gate.promise : undefined);
  const start = (text: string, headers: Record<string, string> = {}) =>
    testApp.send('POST', PATH, { template: 'a', inputs: { text } }, { headers });
  /** Resolves when this many starts have reached the service. */
  const reached = async (count: number) => {
    await until(() => testApp.ports.calls.length >= count);
  };
  return { ...testApp, start, reached, letGo: gate.resolve, refused };
}

describe('large bodies', () => {
  test('are worked on up to the limit; the next one is answered 429 and reaches no service', async () => {
    const { start, reached, ports, letGo, refused, send } = waitingApp();
    await send('POST', '/api/v1/templates', { name: 'a', steps: { one: { type: 'noop' } } });
    const before = ports.calls.length;
    const working = Array.from({ length: 5 }, () => start(LARGE));
    await reached(before + 5);
    const answer = await start(LARGE);
    expect(answer.headers.get('retry-after')).toMatch(/^[1-9]\d*$/);
    const { detail } = await problemOf(answer, 429, 'too_many_requests');
    expect(detail).toContain('100000');
    expect(refused).toHaveLength(1);
    expect(ports.calls.length).toBe(before + 5);
    // A small call always passes.
    expect((await send('GET', '/api/v1/execution/status?execution_id=x')).status).toBe(422);
    letGo();
    expect((await Promise.all(working)).map(({ status }) => status)).toEqual([202, 202, 202, 202, 202]);
    expect((await start(LARGE)).status).toBe(202);
  });

  test('without a length count as they come in', async () => {
    const { start, reached, app, ports, letGo, send } = waitingApp();
    await send('POST', '/api/v1/templates', { name: 'a', steps: { one: { type: 'noop' } } });
    const before = ports.calls.length;
    const working = Array.from({ length: 5 }, () => start(LARGE));
    await reached(before + 5);
    const text = JSON.stringify({ template: 'a', inputs: { text: LARGE } });
    const chunks = new ReadableStream({
      start(controller) {
        for (let at = 0; at < text.length; at += 1_000)
          controller.enqueue(new TextEncoder().encode(text.slice(at, at + 1_000)));
        controller.close();
      },
    });
    const request = { method: 'POST', headers: { 'content-type': 'application/json' }, body: chunks };
    const answer = await app.request(PATH, request, { remoteAddress: '127.0.0.1' });
    await problemOf(answer, 429, 'too_many_requests');
    letGo();
    await Promise.all(working);
  });

  test('that are refused for another reason hold nothing', async () => {
    const { start, send } = createTestAppWithStart();
    for (let time = 0; time < 20; time += 1) {
      expect((await start({ template: 'a', unknown: LARGE })).status).toBe(422);
      expect((await send('POST', PATH, `{"template": "${LARGE}`)).status).toBe(400);
      expect((await start({ template: 'missing', inputs: { LARGE } })).status).toBe(404);
    }
  });
});

describe('bodies that do not arrive', () => {
  const KEYS = ['a', 'b'].map((name, at) =>
    keyOf(name, { workspaceId: `${at}`.repeat(8), admin: false, role: 'editor' }),
  );

  /** A start whose body announces `bytes` and brings the first of them, until it is let go. */
  function slow(app: ReturnType<typeof createTestApp>['app'], key: string, bytes: number, brought: number) {
    let body!: ReadableStreamDefaultController<Uint8Array>;
    const stream = new ReadableStream<Uint8Array>({
      start(controller) {
        body = controller;
        controller.enqueue(new Uint8Array(brought).fill(0x20));
      },
    });
    const headers = {
      'content-type': 'application/json',
      'content-length': String(bytes),
      authorization: `Bearer ${key}`,
    };
    const answer = app.request(PATH, { method: 'POST', headers, body: stream }, LOOPBACK);
    return {
      answer: Promise.resolve(answer),
      bring: (text: string) => body.enqueue(Buffer.from(text)),
      end: () => body.close(),
    };
  }

  const ofTwoWorkspaces = (bodyGraceMs?: number) =>
    createTestApp({ deps: { auth: createAuth({ keys: KEYS }), limits: { ...LIMITS, bodyGraceMs } } });

  test('hold no room for bytes that they only announce', async () => {
    const { app, send } = ofTwoWorkspaces();
    const waiting = Array.from({ length: 200 }, () => slow(app, 'a', 20_000, 100));
    const headers = { authorization: 'Bearer a' };
    await send('POST', '/api/v1/templates', { name: 'a', steps: { one: { type: 'noop' } } }, { headers });
    for (let time = 0; time < 10; time += 1)
      expect((await send('POST', PATH, { template: 'a', inputs: { LARGE } }, { headers })).status).toBe(202);
    for (const { end } of waiting) end();
    const answers = await Promise.all(waiting.map(({ answer }) => answer));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([400]));
  });

  test('of one workspace leave room for those of another', async () => {
    const { app, send } = ofTwoWorkspaces();
    const as = (key: string) => ({ headers: { authorization: `Bearer ${key}` } });
    for (const key of ['a', 'b'])
      await send('POST', '/api/v1/templates', { name: 'a', steps: { one: { type: 'noop' } } }, as(key));
    // Both are known.
    for (const key of ['a', 'b'])
      expect((await send('POST', PATH, { template: 'a', inputs: { LARGE } }, as(key))).status).toBe(202);
    const flood = Array.from({ length: 30 }, () => slow(app, 'a', 20_000, 18_000));
    const refused = await Promise.race(flood.map(({ answer }) => answer));
    await problemOf(refused, 429, 'too_many_requests');
    expect((await send('POST', PATH, { template: 'a', inputs: { LARGE } }, as('b'))).status).toBe(202);
    for (const { end } of flood) end();
    await Promise.all(flood.map(({ answer }) => answer));
  });

  test('are dropped when they bring too little, however much they brought before', async () => {
    const { app } = ofTwoWorkspaces(20);
    await problemOf(await slow(app, 'a', 20_000, 10_000).answer, 408, 'request_timeout');
  });
});

describe('room', () => {
  const holding = (intake: Intake, owner: string, bytes: number) => {
    const ticket = intake.admit(owner);
    let isDropped = false;
    ticket.arriving(() => {
      isDropped = true;
    });
    ticket.reached(bytes);
    return { ticket, isDropped: () => isDropped };
  };

  test('is taken from the body that has brought nothing for longest, and only as far as it is needed', () => {
    const intake = new Intake({ maxBytes: 100_000, stalledMs: -1 });
    const [first, second, third] = [1, 2, 3].map(() => holding(intake, 'a', 30_000));
    const next = holding(intake, 'a', 35_000);
    expect([first, second, third, next].map((body) => body!.isDropped())).toEqual([
      true,
      false,
      false,
      false,
    ]);
    first!.ticket.release();
    expect(() => holding(intake, 'a', 20_000)).not.toThrow();
  });

  test('is not taken from a body that arrives, nor from one that is here', () => {
    const intake = new Intake({ maxBytes: 100_000, stalledMs: 3_600_000 });
    const arriving = holding(intake, 'a', 90_000);
    expect(() => holding(intake, 'a', 20_000)).toThrow(/Try again later/);
    expect(arriving.isDropped()).toBe(false);
    const other = new Intake({ maxBytes: 100_000, stalledMs: -1 });
    const here = holding(other, 'a', 90_000);
    here.ticket.arrived();
    expect(() => holding(other, 'a', 20_000)).toThrow(/Try again later/);
    here.ticket.release();
    holding(other, 'a', 100_000);
  });
});

function createTestAppWithStart() {
  const { send } = createTestApp();
  return { send, start: (body: object) => send('POST', PATH, body) };
}

test('a body that is larger than all there is room for is taken when it is alone', async () => {
  const limits = {
    bodyBytes: 20_000,
    jsonDepth: 64,
    definitionBytes: 5_000,
    startMany: 10,
    intakeBytes: 1_024,
  };
  const { send } = createTestApp({ deps: { limits } });
  await send('POST', '/api/v1/templates', { name: 'a', steps: { one: { type: 'noop' } } });
  expect((await send('POST', PATH, { template: 'a', inputs: { LARGE } })).status).toBe(202);
});

test('the OpenAPI document says that calls with a body may be answered 429, and when to come back', async () => {
  const document = (await (await createTestApp().send('GET', '/openapi.json')).json()) as {
    paths: Record<string, { post?: { responses: Record<string, { headers?: object }> } }>;
  };
  for (const path of [PATH, '/api/v1/execution/start-many']) {
    expect(document.paths[path]!.post!.responses['429']!.headers).toHaveProperty('Retry-After');
  }
});
