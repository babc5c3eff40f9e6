/**
 * Following an execution from outside: by the client, whose connections break, and by the command line.
 */
import { expect, test } from 'bun:test';
import { createEngineClient, EngineProblem, type EventBody } from '../../../client/engine-client.ts';
import { runCli } from '../../support/cli.ts';
import type { EngineDatabase, TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

let database: EngineDatabase;
let engine: TestEngine;
let directory: string;

fixtureForAll(async (made) => {
  database = await made.database();
  directory = await made.folder();
  engine = await made.engine();
});

/** A fetch whose connections break after so many bytes of a stream. */
function breaking(bytes: number): typeof fetch {
  const broken = async (url: string, init: RequestInit) => {
    const { status, headers, body } = await fetch(url, init);
    let left = bytes;
    const cut = new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        controller.enqueue(chunk.slice(0, left));
        left -= chunk.length;
        if (left <= 0) controller.error(new Error('The connection broke.'));
      },
    });
    return new Response(body!.pipeThrough(cut), { status, headers });
  };
  return broken as unknown as typeof fetch;
}

test('the client goes on after its last event when its connection breaks, in the middle of an event too', async () => {
  const steps = Object.fromEntries(
    Array.from({ length: 12 }, (_, at) => [
      `s${at}`,
      { type: 'noop', needs: at === 0 ? [] : [`s${at - 1}`] },
    ]),
  );
  const id = await engine.start(await engine.publish({ steps }));
  await engine.end(id);
  const client = createEngineClient({ url: engine.url, fetch: breaking(700), sleep: async () => {} });
  const seen: EventBody[] = [];
  for await (const event of client.events(id)) {
    seen.push(event);
    if (event.type === 'execution' && event.to === 'completed') break;
  }
  const { data } = await engine.client.eventLog({ execution_id: id, limit: 500 });
  expect(seen.map((event) => event.id)).toEqual(data.map((event) => event.id));
});

test('the client ends with the reason of its signal, and with the error of an engine that says no', async () => {
  const id = await engine.start(
    await engine.publish({ steps: { hold: { type: 'wait', with: { signal: 'go' } } } }),
  );
  const controller = new AbortController();
  const events = engine.client.events(id, { signal: controller.signal });
  expect((await events.next()).value).toMatchObject({ type: 'execution', to: 'pending' });
  controller.abort(new Error('enough'));
  const rest = async () => {
    for await (const _ of events);
  };
  await expect(rest()).rejects.toThrow('enough');
  await engine.client.cancel(id);
  const missing = engine.client.events('0197a3c4-5b6d-7e8f-9012-3456789abcde');
  await expect(missing.next()).rejects.toBeInstanceOf(EngineProblem);
});

test('events and logs show what happened, and follow to the end', async () => {
  const template = await engine.publish({
    steps: {
      say: { type: 'log', with: { message: 'hello there' } },
      hold: { type: 'gate', needs: ['say'], with: { name: 'followed' } },
      last: { type: 'log', needs: ['hold'], with: { message: 'good bye' } },
    },
  });
  const id = await engine.start(template);
  const cli = (...args: string[]) =>
    runCli(args, { cwd: directory, env: { EXECUTION_ENGINE_URL: engine.url }, stdin: '' });
  const following = [cli('events', id, '-f', '-o', 'json'), cli('logs', id, '--follow')] as const;
  await database.until(
    `select count(*) = 1 from workflow_step_executions where workflow_execution_id = $1 and status = 'running'`,
    [id],
  );
  await database.openGate('followed');
  const [events, logs] = await Promise.all(following);
  expect([events.code, logs.code]).toEqual([0, 0]);
  const told = events.out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as EventBody);
  expect(told.at(-1)).toMatchObject({ type: 'execution', to: 'completed' });
  expect(logs.out.split('\n').map((line) => line.replace(/^\S+ +/, ''))).toEqual([
    'info  say  hello there',
    'info  last  good bye',
    '',
  ]);
  const listed = await cli('events', id);
  expect(listed.out.trim().split('\n').at(-1)).toMatch(/^\S+ {2}completed execution$/);
  const one = await cli('logs', id, '--step', 'last', '-o', 'json');
  expect(JSON.parse(one.out)).toMatchObject({ step: 'last', attempt: 1, level: 'info', message: 'good bye' });
});
