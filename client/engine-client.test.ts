/** The client against the real API over a real socket. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { type RunningServer, serve } from '../api/server.ts';
import { createTestApp } from '../tests/support/api/test-app.ts';
import { createEngineClient, EngineProblem, EngineUnreachable, isFinal } from './engine-client.ts';

const DEFINITION = 'name: a\nsteps:\n  one: { type: noop }\n';
const engine = createTestApp();
let server: RunningServer;

beforeAll(async () => {
  server = await serve(engine.app, { host: '127.0.0.1', port: 0 });
});
afterAll(() => server.stop(0));

const connect = () => createEngineClient({ url: `${server.url}/` });

describe('a client', () => {
  test('publishes, reads, lists and archives templates', async () => {
    const client = connect();
    expect(await client.validate(DEFINITION, 'application/yaml')).toMatchObject({ valid: true });
    expect(await client.publish(DEFINITION, 'application/yaml')).toMatchObject({
      name: 'a',
      version: 1,
      created: true,
    });
    expect(await client.publish(DEFINITION, 'application/yaml')).toMatchObject({ created: false });
    expect(await client.getTemplate('a', 1)).toMatchObject({ name: 'a' });
    expect((await client.listTemplates({ limit: 5 })).data).toHaveLength(1);
    const archived = createTestApp();
    const other = await serve(archived.app, { host: '127.0.0.1', port: 0 });
    const second = createEngineClient({ url: other.url });
    await second.publish(DEFINITION, 'application/yaml');
    expect(await second.archiveTemplate('a')).toBeUndefined();
    await other.stop(0);
  });

  test('starts, watches, stops, cancels and lists executions', async () => {
    const client = connect();
    await client.publish(DEFINITION, 'application/yaml');
    const { execution_id: id, created } = await client.start({ template: 'a', inputs: { n: 1 } });
    expect(created).toBe(true);
    expect(await client.startMany([{ template: 'a' }, { template: 'a' }])).toHaveLength(2);
    const status = await client.status(id, { includeOutputs: true, wait: '1s', scope: '' });
    expect([status.inputs, isFinal(status.status)]).toEqual([{ n: 1 }, false]);
    expect(await client.stop(id, 'enough')).toMatchObject({ execution_id: id });
    expect(await client.cancel(id)).toMatchObject({ execution_id: id });
    expect((await client.listExecutions({ template: 'a', limit: 10 })).data.length).toBeGreaterThan(0);
  });

  test('throws what the engine says, with its problems', async () => {
    const client = connect();
    const error = await client.start({ template: 'no name' }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(EngineProblem);
    expect(error).toMatchObject({
      status: 422,
      code: 'validation_failed',
      problems: [{ pointer: '/template' }],
    });
    expect((error as EngineProblem).requestId).toMatch(/^[0-9a-f-]{36}$/);
  });

  test('tells an engine that is not there from a caller that gave up', async () => {
    await expect(createEngineClient({ url: 'http://127.0.0.1:1' }).listTemplates()).rejects.toBeInstanceOf(
      EngineUnreachable,
    );
    const signal = AbortSignal.abort(new Error('gave up'));
    const id = '11111111-1111-1111-1111-111111111111';
    const error = await connect()
      .status(id, { signal })
      .catch((thrown: unknown) => thrown);
    expect(error).not.toBeInstanceOf(EngineUnreachable);
  });

  /** A client of an engine that answers 429 this many times. */
  function busy(refusals: number, retryAfter: string | null) {
    const waited: number[] = [];
    let calls = 0;
    const answer = async () => {
      calls += 1;
      if (calls > refusals) return Response.json({ data: [], next_cursor: null });
      const headers = { 'content-type': 'application/problem+json' };
      const body = JSON.stringify({ code: 'too_many_requests', detail: 'Nothing was started.' });
      return new Response(body, {
        status: 429,
        headers: retryAfter === null ? headers : { ...headers, 'retry-after': retryAfter },
      });
    };
    const sleep = async (ms: number) => void waited.push(ms);
    const client = createEngineClient({ url: server.url, fetch: answer, sleep });
    return { client, waited, calls: () => calls };
  }

  test('comes back once when the engine has too much to do', async () => {
    const { client, waited, calls } = busy(1, '3');
    expect(await client.listTemplates()).toMatchObject({ data: [] });
    expect([waited, calls()]).toEqual([[3_000], 2]);
  });

  test('reports an engine that stays busy, and one that asks for too long a wait or for none', async () => {
    for (const [refusals, retryAfter, calls, seconds] of [
      [2, '3', 2, 3],
      [1, '3600', 1, 3_600],
      [1, null, 1, null],
      [1, 'Wed, 21 Oct 2026 07:28:00 GMT', 1, null],
    ] as const) {
      const engine = busy(refusals, retryAfter);
      const error = await engine.client.listTemplates().catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ status: 429, code: 'too_many_requests', retryAfterSeconds: seconds });
      expect(engine.calls()).toBe(calls);
    }
  });

  test('follows no redirect with its key', async () => {
    const fetchOnce = async () =>
      new Response(null, { status: 302, headers: { location: 'http://evil.example' } });
    const client = createEngineClient({ url: server.url, token: 'secret', fetch: fetchOnce });
    await expect(client.listTemplates()).rejects.toBeInstanceOf(EngineUnreachable);
  });
});

test('an input that JSON cannot hold is the mistake of its caller, and no engine is blamed', async () => {
  const client = createEngineClient({ url: 'http://localhost:9' });
  const start = client.start({ template: 'a', inputs: { n: 2n } as never });
  await expect(start).rejects.toThrow(TypeError);
});
