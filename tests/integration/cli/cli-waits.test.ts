/**
 * The commands on what waits, as processes against a real engine.
 */
import { describe, expect, test } from 'bun:test';
import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Json, JsonObject } from '../../../core/json/json.ts';
import { type CliEnd, runCli } from '../../support/cli.ts';
import { type EngineDatabase, stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { until } from '../../support/until.ts';

let database: EngineDatabase;
let engine: TestEngine;
let directory: string;

fixtureForAll(async (made) => {
  database = await made.database();
  directory = await made.folder();
  engine = await made.engine();
});

const cli = (...args: string[]): Promise<CliEnd> =>
  runCli(args, { cwd: directory, env: { EXECUTION_ENGINE_URL: engine.url }, stdin: '' });

/** Starts an execution of one step; returns it once that waits, with the step's id. */
async function waiting(step: JsonObject): Promise<{ id: string; stepId: string }> {
  const id = await engine.start(await engine.publish({ steps: { step } }));
  await until(async () => (await engine.client.status(id)).steps[0]?.status === 'waiting');
  return { id, stepId: stepOf(await engine.client.status(id), 'step').id };
}

const outputOf = async (id: string) => ((await engine.end(id)).outputs as JsonObject).step;
const FORM = { type: 'form', with: { title: 'May we?', assignees: ['ada'] } };

describe('signal', () => {
  test.each([
    ['a text', ['--payload', '1.10'], '1.10'],
    ['a number', ['--payload', '42'], 42],
    ['JSON', ['--payload', '{"amount":[3]}'], { amount: [3] }],
    ['a file', ['--payload', '@payload.json'], { of: 'a file' }],
    ['nothing', [], null],
  ] satisfies [string, string[], Json][])('sends %s', async (_name, given, payload) => {
    await writeFile(join(directory, 'payload.json'), '{"of":"a file"}');
    const { id } = await waiting({ type: 'wait', with: { signal: 'paid' } });
    expect(await cli('signal', id, 'paid', ...given)).toMatchObject({ code: 0, out: 'signal paid sent\n' });
    expect(await outputOf(id)).toEqual(payload);
  });

  test('with an id is sent once, and is refused when the execution is over', async () => {
    const { id } = await waiting({ type: 'wait', with: { signal: 'paid' } });
    for (const out of ['signal paid sent\n', 'signal one was sent before\n'])
      expect(await cli('signal', id, 'paid', '--signal-id', 'one')).toMatchObject({ code: 0, out });
    await engine.end(id);
    const { code, err } = await cli('signal', id, 'paid');
    expect([code, err.includes('takes no signals')]).toEqual([4, true]);
  });
});

test('explain says what a step waits for, as a table and as sentences, and where time went', async () => {
  const { id } = await waiting({ type: 'wait', with: { signal: 'paid' } });
  const { code, out } = await cli('explain', id);
  expect(code).toBe(0);
  expect(out).toMatch(/^STEP +STATUS +FOR +WAITS FOR\nstep +waiting +\S+ +the signal "paid"\n/);
  expect(out).toContain(
    `is running: 0 of 1 step is over and 1 waits. Step "step" waits for the signal "paid".`,
  );
  expect(JSON.parse((await cli('explain', id, '-o', 'json')).out)).toMatchObject({ execution_id: id });
  await cli('signal', id, 'paid');
  await engine.end(id);
  expect((await cli('explain', id, '--history')).out).toMatch(
    /\nstep +completed .*\n\nExecution .* completed at/s,
  );
  expect((await cli('explain', randomUUID())).code).toBe(4);
});

test('a signal for which no step waits yet says that it is kept', async () => {
  const first = { type: 'gate', with: { name: 'late-wait' } };
  const second = { type: 'wait', needs: ['first'], with: { signal: 'paid' } };
  const id = await engine.start(await engine.publish({ steps: { first, second } }));
  const { out } = await cli('signal', id, 'paid', '--payload', '1');
  expect(out).toBe('signal paid sent; no step waits for it yet, and it is kept for the first that does\n');
  await database.openGate('late-wait');
  expect((await engine.end(id)).outputs).toEqual({ second: 1 });
});

describe('forms', () => {
  test('are listed, shown, and answered', async () => {
    const { id, stepId } = await waiting(FORM);
    const inbox = (await cli('forms', '--assignee', 'ada')).out.split('\n');
    const line = inbox.find((one) => one.startsWith(stepId))!.split(/ {2,}/);
    expect(line.slice(2, 7)).toEqual(['step', id, 'May we?', 'ada', '-']);
    expect((await cli('forms', '--assignee', 'eve')).out).not.toContain(stepId);
    expect((await cli('step', stepId)).out).toContain('for an answer to the form "May we?"');
    expect((await cli('complete', stepId, '--user', 'eve')).code).toBe(4);
    const done = await cli('complete', stepId, '--user', 'ada', '--value', '{"ok":true}');
    expect(done).toMatchObject({ code: 0, out: `step ${stepId} completed\n` });
    expect(await outputOf(id)).toEqual({ ok: true });
    expect((await cli('step', stepId)).out).toMatch(/completed .*1/s);
  });

  test('are rejected, and decided with a quorum', async () => {
    const { id, stepId } = await waiting(FORM);
    expect((await cli('fail', stepId, '--user', 'ada')).out).toBe(`step ${stepId} failed\n`);
    expect((await engine.end(id)).error).toMatchObject({ code: 'rejected' });
    const two = await waiting({ type: 'form', with: { title: 'May we?', quorum: { approve: 1 } } });
    expect((await cli('complete', two.stepId, '--decision', 'maybe')).code).toBe(2);
    const three = await waiting({ type: 'form', with: { title: 'May they?', quorum: { approve: 2 } } });
    expect((await cli('complete', three.stepId, '--decision', 'approve', '--user', 'eve')).code).toBe(0);
    expect((await cli('forms')).out).toMatch(new RegExp(`${three.stepId}.* approve by eve `));
    await engine.client.cancel(three.id);
    const approve = ['--decision', 'approve', '--user', 'ada', '--comment', 'fine'];
    expect((await cli('complete', two.stepId, ...approve)).code).toBe(0);
    expect(await outputOf(two.id)).toMatchObject({ decision: 'approve', decisions: [{ comment: 'fine' }] });
  });
});

describe('tasks', () => {
  test('are claimed, kept, failed and completed with the token of the claim', async () => {
    const queue = randomUUID();
    const step = { type: 'task', with: { queue, input: 7 }, retry: { limit: 1, delay: 0 } };
    const { id, stepId } = await waiting(step);
    const claim = async () => {
      const { out } = await cli('claim', queue, '--worker', 'me', '--wait', '30s', '-o', 'json');
      return (JSON.parse(out) as { tasks: { id: string; token: string }[] }).tasks[0]!;
    };
    const first = await claim();
    expect(first).toMatchObject({ id: stepId, input: 7 });
    expect((await cli('heartbeat', stepId, '--claim', first.token)).out).toContain('is kept for 60 s');
    expect((await cli('complete', stepId, '--value', '1')).err).toContain('claimed by the worker "me"');
    expect((await cli('fail', stepId, '--claim', first.token)).code).toBe(2);
    const failed = await cli('fail', stepId, '--claim', first.token, '--code', 'no', '--retryable');
    expect(failed.code).toBe(0);
    const second = await claim();
    expect((await cli('complete', stepId, '--claim', first.token)).code).toBe(4);
    expect((await cli('complete', stepId, '--claim', second.token, '--value', '8')).code).toBe(0);
    expect(await outputOf(id)).toBe(8);
    expect((await cli('claim', queue)).out).toBe('TASK  TOKEN  ATTEMPT  LEASE  INPUT\n');
    const patient = await cli('claim', queue, '--wait', '2m');
    expect([patient.code, patient.err]).toEqual([2, expect.stringContaining('--wait 2m is longer than 60s')]);
  });
});

test('scopes lists the items of a foreach', async () => {
  const steps = { one: { type: 'fail', when: '${{ item == 1 }}', with: { message: 'no', code: 'odd' } } };
  const each = { type: 'foreach', with: { items: 3, onItemFailure: 'continue', steps } };
  const { execution_id: id } = await engine.run({ steps: { each } });
  expect((await cli('scopes', id, 'each')).out.trimEnd().split('\n')).toHaveLength(4);
  const { out } = await cli('scopes', id, 'each', '--status', 'failed');
  expect(out).toMatch(/each\[1\].*failed.*one: odd no/);
  expect((await cli('scopes', id, 'each', '--status', 'good')).code).toBe(2);
});

test('scopes says what open items wait for, status shows the steps of one, and cancelled ones say why', async () => {
  const steps = {
    ask: { type: 'wait', when: '${{ index < 2 }}', with: { signal: 'go' } },
    broken: { type: 'fail', when: '${{ index == 2 }}', with: { code: 'odd', message: 'no luck' } },
  };
  const each = { type: 'foreach', with: { items: 9, concurrency: 2, steps } };
  const id = await engine.start(await engine.publish({ steps: { each } }));
  await until(async () => (await cli('scopes', id, 'each')).out.match(/for the signal "go"/g)?.length === 2);
  const scope = (await cli('status', id, '--scope', 'each[1]')).out;
  expect(scope).toMatch(/ask +wait +waiting .*for the signal "go"/);
  expect((await cli('status', id, '--scope', 'each[7]')).code).toBe(4);
  await cli('signal', id, 'go', '--scope', 'each[1]');
  const end = await engine.end(id);
  expect(stepOf(end, 'each').scopes).toEqual({
    total: 9,
    completed: 1,
    failed: 1,
    running: 0,
    waiting: 0,
    cancelled: 7,
  });
  const { out } = await cli('scopes', id, 'each', '--status', 'cancelled');
  expect(out).toMatch(/each\[0\] .*cancelled The step that holds it has failed: odd no luck/);
});

test('scopes and list lead to child executions and back', async () => {
  const child = await engine.publish({ steps: { ask: { type: 'wait', with: { signal: 'go' } } } });
  const each = { type: 'foreach', with: { items: 2, workflow: child } };
  const id = await engine.start(await engine.publish({ steps: { each } }));
  const idsIn = async (...args: string[]) => {
    const page = JSON.parse((await cli(...args, '-o', 'json')).out) as { data: { execution_id: string }[] };
    return page.data.map(({ execution_id }) => execution_id).toSorted();
  };
  await until(async () => (await idsIn('list', '--parent', id)).length === 2);
  const children = await idsIn('list', '--parent', id);
  expect(await idsIn('list', '--root', id)).toEqual([id, ...children].toSorted());
  expect(await idsIn('scopes', id, 'each')).toEqual(children);
  expect((await cli('scopes', id, 'each')).out).toContain(`for the execution ${children[0]}`);
  await engine.client.cancel(id);
  for (const one of children) expect((await engine.end(one)).status).toBe('cancelled');
});

test('a stop while an execution is undone says so', async () => {
  const undo = { type: 'gate', with: { name: 'slow-undo' } };
  const a = { type: 'noop', compensateWith: undo };
  const last = { type: 'fail', needs: ['a'], with: { message: 'no' } };
  const id = await engine.start(await engine.publish({ steps: { a, last } }));
  await until(async () => (await engine.client.status(id)).status === 'compensating');
  expect((await cli('stop', id)).out).toContain('was already compensating: what has completed is undone');
  await database.openGate('slow-undo');
  expect((await engine.end(id)).status).toBe('failed');
  expect((await cli('stop', id)).out).toContain('was already failed; nothing was stopped');
});
