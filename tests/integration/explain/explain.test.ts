/** Why an execution is not final: each reason in the situation that it is about, over HTTP. */
import { expect, test } from 'bun:test';
import type { JsonObject } from '../../../core/json/json.ts';
import type { ExplainBody, ExplainedStepBody } from '../../../services/explain/answers.ts';
import {
  type EngineDatabase,
  type EngineProcess,
  engineCalls,
  type TestEngine,
} from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { until } from '../../support/until.ts';

const WORKSPACE = 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa';
const OPERATOR = 'key-of-the-whole-engine';
const VIEWER = 'key-of-a-viewer-in-a-workspace';
const EDITOR = 'key-of-an-editor-in-a-workspace';

let database: EngineDatabase;
/** Answers, and runs no steps. */
let front: TestEngine;
/** Runs the steps, four at once. */
let able: EngineProcess;
const started: string[] = [];

const fixture = fixtureForAll(
  async () => {
    database = await fixture.database();
    const config = {
      EXECUTION_ENGINE_API_KEYS: `${OPERATOR}=admin,${VIEWER}=${WORKSPACE}:viewer,${EDITOR}=${WORKSPACE}:editor`,
      EXECUTION_ENGINE_PUBLIC_URL: 'https://flows.example',
    };
    front = await fixture.engine({
      name: 'front',
      token: OPERATOR,
      config: { ...config, EXECUTION_ENGINE_ROLE: 'api' },
    });
    able = await fixture.engineProcess({
      name: 'able',
      token: OPERATOR,
      config: { ...config, EXECUTION_ENGINE_CONCURRENCY: '4' },
    });
  },
  {
    atEnd: async () => {
      for (const id of started) await front.client.cancel(id);
    },
  },
);

async function explain(id: string, query = '', key = OPERATOR): Promise<ExplainBody> {
  const path = `/api/v1/execution/explain?execution_id=${id}${query}`;
  const { status, body } = await front.request('GET', path, undefined, key);
  expect([status, body.code]).toEqual([200, undefined]);
  return body as unknown as ExplainBody;
}

async function start(definition: JsonObject, more: JsonObject = {}): Promise<string> {
  const id = await front.start(await front.publish(definition), more);
  started.push(id);
  return id;
}

const stepIn = ({ steps }: ExplainBody, key: string) => steps.find((each) => each.key === key);

interface Found {
  readonly id: string;
  readonly body: ExplainBody;
  readonly step: ExplainedStepBody;
}

/** What is said of a step, once it waits for something of that kind and the sentence is like that. */
async function reasonOf(id: string, key: string, kind: string | null, like = /./): Promise<Found> {
  let found: ExplainBody = await explain(id);
  const step = () => stepIn(found, key);
  const isThere = () => (step()?.waiting_for?.kind ?? null) === kind && like.test(step()?.reason ?? '');
  await until(async () => {
    if (step() !== undefined && isThere()) return true;
    found = await explain(id);
    return false;
  });
  return { id, body: found, step: step()! };
}

const gate = (name: string, more: JsonObject = {}) => ({ type: 'gate', with: { name }, ...more });
const wait = { type: 'wait', with: { signal: 'go' } };
const EACH = { type: 'foreach', with: { items: 5, concurrency: 2, steps: { w: wait } } };
const only = (step: JsonObject): JsonObject => ({ steps: { a: step } });
const INSTANT = /20\d\d-\d\d-\d\dT[\d:.]+Z/;
const LATER = INSTANT.source;

interface Situation {
  readonly definition: JsonObject;
  /** Default: `a`. */
  readonly step?: string;
  readonly start?: JsonObject;
  /** `waiting_for`; null: it runs. */
  readonly waits: JsonObject | null;
  /** Parts of the sentence. */
  readonly says: readonly string[];
}

const SITUATIONS: Readonly<Record<string, Situation>> = {
  'a timer': {
    definition: only({ type: 'delay', with: { for: '1h' } }),
    waits: { kind: 'timer', at: expect.stringMatching(INSTANT) },
    says: [`goes on by itself at ${LATER}`, 'stop or cancel'],
  },
  'a signal, until its timeout': {
    definition: only({ type: 'wait', with: { signal: 'paid', timeout: '2h' } }),
    waits: { kind: 'signal', name: 'paid' },
    says: ['POST /api/v1/execution/signal', '"signal":"paid"', `fails with a timeout at ${LATER}`],
  },
  'an answer to a form': {
    definition: only({ type: 'form', with: { title: 'Ok?', assignees: ['ada', 'role:boss'] } }),
    waits: { kind: 'form', title: 'Ok?', assignees: ['ada', 'role:boss'] },
    says: ['ada and role:boss', 'POST /api/v1/steps/[0-9a-f-]{36}/complete'],
  },
  'decisions on a form': {
    definition: only({ type: 'form', with: { title: 'Ok?', quorum: { approve: 2 } } }),
    waits: { kind: 'form', title: 'Ok?', assignees: [] },
    says: ['0 of 2 approvals', 'Anybody', '"decision": "approve" or "reject", "user_id"'],
  },
  'a request to its URL': {
    definition: only({ type: 'webhook' }),
    waits: { kind: 'webhook', url: expect.stringContaining('https://flows.example/hooks/') },
    says: ['POST https://flows.example/hooks/'],
  },
  'a worker that claims its task': {
    definition: only({ type: 'task', with: { queue: 'idle' } }),
    waits: { kind: 'task', queue: 'idle', claimed_by: null },
    says: ['no worker has claimed it', 'POST /api/v1/tasks/claim'],
  },
  'its next attempt': {
    definition: only({ type: 'flaky', retry: { limit: 3, delay: '1h', jitter: false } }),
    waits: { kind: 'retry', at: expect.stringMatching(INSTANT), attempt: 2 },
    says: ['failed with flaky: not yet', `Attempt 2 \\(retry 1 of 3\\) begins by itself at ${LATER}`],
  },
  'its end, while it runs': {
    definition: only(gate('run', { timeout: '1h' })),
    waits: null,
    says: ['runs on engine [0-9a-f-]{36} \\(process \\d+ on ', `or with its timeout at ${LATER}`],
  },
  'the time at which its execution begins': {
    definition: only({ type: 'noop' }),
    start: { start_after: '1h' },
    waits: { kind: 'start', at: expect.stringMatching(INSTANT), position: null },
    says: ['the execution was put off', `begins by itself at ${LATER}`],
  },
  'inputs that another step can still bring': {
    definition: {
      steps: {
        a: wait,
        b: { type: 'noop' },
        c: { type: 'noop', needs: ['a', 'b'] },
        d: { type: 'merge', needs: ['c', 'b'] },
      },
    },
    step: 'd',
    waits: { kind: 'inputs' },
    says: [
      'waits for 1 of 2 inputs: "c"',
      'all of them have ended',
      'Next to end: "a", which waits for the signal "go"',
    ],
  },
  'its scopes': {
    definition: only(EACH),
    waits: { kind: 'scopes', open: 2 },
    says: ['0 of 5 are over', '3 are not open yet', 'a\\[0\\] and a\\[1\\]', 'scope=a\\[0\\]'],
  },
  'a limit that another step holds': {
    definition: {
      steps: {
        a: gate('limit', { concurrency: { key: 'crm', limit: 1 } }),
        b: gate('limit', { concurrency: { key: 'crm', limit: 1 }, needs: ['x'] }),
        c: gate('limit', { concurrency: { key: 'crm', limit: 1 }, needs: ['y'] }),
        x: { type: 'noop' },
        y: { type: 'noop', needs: ['x'] },
      },
    },
    step: 'c',
    waits: { kind: 'limit', key: 'crm', limit: 1, position: 2 },
    says: ['1 of 1 places are taken by step "a" of execution [0-9a-f-]{36} since', 'number 2 in line'],
  },
  'a rate that is used up': {
    definition: {
      steps: {
        a: { type: 'noop', rateLimit: { key: 'mails', limit: 1, per: '1h' } },
        b: { type: 'noop', rateLimit: { key: 'mails', limit: 1, per: '1h' }, needs: ['a'] },
      },
    },
    step: 'b',
    waits: { kind: 'limit', key: 'mails', limit: 1, position: 1 },
    says: ['"mails" of 1 start per 1h', 'in \\d+ minutes at the earliest'],
  },
  'a limit whose key comes from a result': {
    definition: {
      steps: {
        t: { type: 'transform', with: { value: 'red' } },
        a: gate('limit', { concurrency: { key: '${{ steps.t.output }}', limit: 1 }, needs: ['t'] }),
        b: gate('limit', { concurrency: { key: '${{ steps.t.output }}', limit: 1 }, needs: ['a0'] }),
        a0: { type: 'noop', needs: ['t'] },
      },
    },
    step: 'b',
    waits: { kind: 'limit', key: null, limit: 1, position: null },
    says: ['a limit of at most 1', 'made from results of other steps'],
  },
};

test.each(Object.entries(SITUATIONS))('a step waits for %s', async (_, situation) => {
  const { definition, step: key = 'a', start: more = {}, waits, says } = situation;
  const id = await start(definition, more);
  const all = new RegExp(says.join('.*'), 's');
  const { step, body } = await reasonOf(id, key, (waits?.kind as string) ?? null, all);
  expect(step.waiting_for).toEqual(waits as ExplainedStepBody['waiting_for']);
  expect(step.reason).toStartWith(`Step "${key}" `);
  expect(body.summary).toStartWith(`Execution ${id} is ${body.status}`);
  if (step.id === null) expect(step.since).toBeNull();
  else expect(step.since).toMatch(INSTANT);
});

test('a claimed task waits for its worker, until the end of the lease', async () => {
  const id = await start(only({ type: 'task', with: { queue: 'busy' } }));
  await reasonOf(id, 'a', 'task');
  await front.client.claimTasks({ queue: 'busy', worker: 'w-7', max: 1 });
  const { step } = await reasonOf(id, 'a', 'task', /"w-7" has claimed/);
  expect(step.waiting_for).toEqual({ kind: 'task', queue: 'busy', claimed_by: 'w-7' });
  expect(step.reason).toMatch(new RegExp(`lease runs out at ${LATER}`));
});

test('a child is told of with what it waits for, a scope has an answer of its own', async () => {
  const child = await front.publish(only(wait));
  const id = await start({
    steps: {
      call: { type: 'workflow', with: { name: child } },
      each: EACH,
    },
  } as JsonObject);
  const { step } = await reasonOf(id, 'call', 'child', /its step "a" waits for the signal "go"/);
  started.push(String(step.waiting_for!.execution_id));
  await reasonOf(id, 'each', 'scopes');
  let inside = await explain(id, '&scope=each%5B1%5D');
  await until(async () => {
    if (inside.steps[0]?.waiting_for?.kind === 'signal') return true;
    inside = await explain(id, '&scope=each%5B1%5D');
    return false;
  });
  expect(inside.steps.map(({ key, scope, waiting_for }) => [key, scope, waiting_for?.kind])).toEqual([
    ['w', 'each[1]', 'signal'],
  ]);
  expect(inside.steps[0]!.reason).toContain('"scope":"each[1]"');
  const missing = await front.request(
    'GET',
    `/api/v1/execution/explain?execution_id=${id}&scope=each%5B4%5D`,
  );
  expect([missing.status, missing.body.code]).toEqual([404, 'scope_not_found']);
});

test('of many missing inputs twenty are listed and all counted; of many steps a page', async () => {
  const waits = Object.fromEntries(Array.from({ length: 110 }, (_, at) => [`w${at}`, wait]));
  const id = await start({ steps: { ...waits, join: { type: 'merge', needs: Object.keys(waits) } } });
  await database.until(
    `select count(*) = 110 from workflow_step_executions where workflow_execution_id = $1 and status = 'waiting'`,
    [id],
  );
  const first = await explain(id);
  expect(first.steps).toHaveLength(100);
  const { steps, next_cursor } = await explain(id, `&cursor=${first.next_cursor}`);
  expect([steps.length, next_cursor]).toEqual([11, null]);
  expect(new Set([...first.steps, ...steps].map(({ key }) => key)).size).toBe(111);
  const { id: row, status, missing, missing_count, waiting_for } = steps.at(-1)!;
  expect([row, status, missing.length, missing_count, waiting_for]).toEqual([
    null,
    'waiting_inputs',
    20,
    110,
    { kind: 'inputs' },
  ]);
  expect(missing[0]).toEqual({ step: 'w0', status: 'waiting', why: '"w0" waits for the signal "go".' });
  expect(first.summary).toContain('0 of 111 steps are over, 110 wait and 1 waits for inputs.');
});

test('a viewer sees the executions of its workspace, and no URL of a webhook step', async () => {
  const editor = engineCalls(front.url, EDITOR);
  const mine = await editor.start(await editor.publish(only({ type: 'webhook' })));
  started.push(mine);
  await reasonOf(mine, 'a', 'webhook', /https:/);
  const { steps } = await explain(mine, '', VIEWER);
  expect(steps[0]!.waiting_for).toEqual({ kind: 'webhook', url: null });
  expect(steps[0]!.reason).not.toContain('flows.example');
  const other = await start(only(wait));
  const path = `/api/v1/execution/explain?execution_id=${other}`;
  expect((await front.request('GET', path, undefined, VIEWER)).status).toBe(404);
});

test('an execution that is stopped waits for what runs in its grace time; one that fails is undone first', async () => {
  const stopped = await start(only({ type: 'deaf', with: { name: 'stop' } }));
  await reasonOf(stopped, 'a', null);
  await front.client.stop(stopped);
  const { step } = await reasonOf(stopped, 'a', 'stop');
  expect((await front.client.status(stopped)).steps[0]!.waiting_for).toEqual({ kind: 'stop' });
  expect(step.reason).toMatch(
    new RegExp(`a stop of the execution was requested at ${LATER}.*cancelled at ${LATER}`),
  );
  await database.openGate('stop');
  expect((await front.end(stopped)).status).toBe('cancelled');

  const failing = await start({
    steps: {
      a: { type: 'noop', compensateWith: gate('undo') },
      b: { type: 'fail', needs: ['a'], with: { message: 'no' } },
    },
  });
  const { body } = await reasonOf(failing, 'a~compensation', null, /runs on engine/);
  expect(body.status).toBe('compensating');
  await database.openGate('undo');
  const end = await front.end(failing);
  expect(end.status).toBe('failed');
  const { summary, steps } = await explain(failing);
  expect(steps).toEqual([]);
  expect(summary).toMatch(
    /failed at .*: its step "b" failed with failed: no\. Mend the cause; then POST \/api\/v1\/execution\/retry/,
  );
});

test('a pause holds back what would begin, by whom and since when, and nothing else; children are held by the parent', async () => {
  const child = await front.publish(only({ type: 'task', with: { queue: 'held' } }));
  const id = await start({
    steps: {
      ask: wait,
      after: { type: 'noop', needs: ['ask'] },
      call: { type: 'workflow', with: { name: child } },
    },
  });
  const { step: call } = await reasonOf(id, 'call', 'child', /its step "a" waits for a worker/);
  const childId = String(call.waiting_for!.execution_id);
  await front.request('POST', '/api/v1/execution/pause', { execution_id: id });
  await reasonOf(id, 'ask', 'signal');
  const { step: held } = await reasonOf(childId, 'a', 'paused', /its parent execution .* was paused/);
  expect(held.waiting_for).toEqual({ kind: 'paused', by: id });
  expect(held.reason).toContain(`resume with { "execution_id": "${id}" }`);
  const shown = await front.client.status(childId);
  expect(shown.steps[0]!.waiting_for).toEqual(held.waiting_for);
  await front.client.signal({ execution_id: id, signal: 'go' });
  const { step, body } = await reasonOf(
    id,
    'after',
    'paused',
    new RegExp(`paused( by ".*")? since ${LATER}`),
  );
  expect(body.status).toBe('paused');
  expect(step.reason).toContain('POST /api/v1/execution/resume');
  await front.request('POST', '/api/v1/execution/resume', { execution_id: id });
  await reasonOf(childId, 'a', 'task', /no worker has claimed it/);
  const pending = await start(only({ type: 'noop' }), { start_after: '1h' });
  await front.request('POST', '/api/v1/execution/pause', { execution_id: pending });
  expect(stepIn(await explain(pending), 'a')).toMatchObject({ id: null, waiting_for: { kind: 'paused' } });
  await front.request('POST', '/api/v1/execution/resume', { execution_id: pending });
});

test('a step that has used up its retries waits for a decision on its incident', async () => {
  const id = await start(only({ type: 'flaky', with: { failures: 9 }, onExhausted: 'pause' }));
  const { step, body } = await reasonOf(
    id,
    'a',
    'incident',
    /failed with flaky: not yet, and its retries are used up/,
  );
  expect(body.status).toBe('paused');
  const shown = await front.client.status(id);
  expect(step.waiting_for).toEqual(shown.steps[0]!.waiting_for);
  expect(step.reason).toContain(`POST /admin/incidents/${step.waiting_for!.id}/resume`);
});

test('the history tells where the time of finished steps went, and null for what is not known', async () => {
  const { execution_id: id } = await front.run({
    steps: {
      a: { type: 'noop' },
      b: { type: 'delay', with: { for: 50 }, needs: ['a'] },
      c: { type: 'noop', when: false, needs: ['a'] },
      d: { type: 'noop', needs: ['a'], rateLimit: { key: 'd', limit: 9, per: '1h' } },
      e: { type: 'merge', needs: ['b', 'a'] },
      f: { type: 'flaky', retry: { limit: 1, delay: 60, jitter: false } },
    },
  });
  const { history, steps, summary } = await explain(id, '&history=true');
  expect(steps).toEqual([]);
  expect(summary).toMatch(/completed at .*Nothing is left to be done/);
  const of = (key: string) => history!.find((each) => each.key === key)!;
  const known = expect.any(Number);
  const waited = { inputs_ms: 0, limit_ms: 0, worker_ms: known, backoff_ms: 0, parked_ms: 0 };
  expect(of('a')).toEqual({
    id: expect.any(String),
    key: 'a',
    scope: '',
    status: 'completed',
    waited,
    ran_ms: known,
  });
  expect(of('b')).toMatchObject({ waited: { ...waited, parked_ms: null }, ran_ms: null });
  expect(of('c')).toMatchObject({ status: 'skipped', waited: { ...waited, worker_ms: known }, ran_ms: 0 });
  expect(of('f')).toMatchObject({ status: 'completed', waited: { parked_ms: null }, ran_ms: null });
  expect(of('f').waited.backoff_ms).toBeGreaterThanOrEqual(60);
  expect(of('e').waited.inputs_ms).toBeGreaterThanOrEqual(50);
  expect((await explain(id)).history).toBeNull();
});

test('with every place taken, a step waits for one and says who holds them; executions wait in line', async () => {
  for (const name of ['run', 'limit']) await database.openGate(name);
  await database.until(
    `select count(*) = 0 from workflow_step_executions s join workflow_step_templates t on t.id = s.step_template_id
      where s.status in ('queued', 'running') and t.type = 'gate'`,
  );
  const five = Object.fromEntries(['a', 'b', 'c', 'd', 'e'].map((key) => [key, gate('slots')]));
  const id = await start({ steps: five });
  const { step } = await reasonOf(id, 'e', 'slot', /run 4 steps at once by step/);
  expect(step.reason).toContain('EXECUTION_ENGINE_CONCURRENCY');
  const [first, second] = [await start(only(gate('slots'))), await start(only(gate('slots')))];
  await reasonOf(first, 'a', 'start', /number 1 of its workspace/);
  const { step: pending } = await reasonOf(second, 'a', 'start', /number 2 of its workspace/);
  expect(pending).toMatchObject({ id: null, status: 'waiting_inputs', since: null });
  let body: JsonObject = {};
  await until(async () => {
    ({ body } = await front.request('GET', '/admin/queues'));
    return (body.data as JsonObject[])[0]!.depth === 2;
  });
  expect(body).toMatchObject({
    data: [
      { queue: 'WorkflowExecutionQueue' },
      { queue: 'StepExecutionQueue' },
      { queue: 'MergeExecutionQueue', depth: 0, oldest_age_seconds: 0 },
    ],
    workspaces: [{ workspace_id: null }],
  });
  const depth = { depth: 1, oldest_age_seconds: expect.any(Number) };
  expect(body.task_queues).toContainEqual({ queue: 'idle', ...depth });
  expect(body.step_types).toContainEqual({
    type: 'gate',
    depth: 1,
    oldest_age_seconds: expect.any(Number),
    engines: 1,
  });
  await reasonOfEngines();
  await afterTheEngine(id, first);
});

async function workers(): Promise<JsonObject[]> {
  return (await front.request('GET', '/admin/workers')).body.data as JsonObject[];
}

/** The list of engines shows their places, and pages. */
async function reasonOfEngines(): Promise<void> {
  const list = await workers();
  expect(list.find(({ id }) => id === able.id)).toMatchObject({
    status: 'alive',
    capacity: 4,
    used: 4,
    pid: able.pid,
  });
  expect(list.find(({ id }) => id !== able.id)).toMatchObject({ status: 'alive', role: 'api', capacity: 0 });
  const { body } = await front.request('GET', '/admin/workers?limit=1');
  const rest = await front.request('GET', `/admin/workers?limit=1&cursor=${body.next_cursor}`);
  expect([...(body.data as JsonObject[]), ...(rest.body.data as JsonObject[])]).toHaveLength(2);
  expect(rest.body.next_cursor).toBeNull();
}

/** The only engine that runs steps falls silent, then is killed; at last another one comes, without the step type. */
async function afterTheEngine(running: string, pending: string): Promise<void> {
  able.kill('SIGSTOP');
  const { step } = await reasonOf(running, 'a', 'engine', /being judged dead/);
  expect(step.waiting_for).toEqual({ kind: 'engine', id: able.id });
  expect(step.reason).toMatch(new RegExp(`process ${able.pid} on .*counts as dead at ${LATER}.*start one`));
  const late = (await workers()).find(({ id }) => id === able.id)!;
  expect(['late', 'dead']).toContain(String(late.status));
  able.kill('SIGKILL');
  await able.exited;
  const { step: queued } = await reasonOf(running, 'e', 'engine', /no engine that runs steps is alive/);
  expect(queued.waiting_for).toEqual({ kind: 'engine', id: null });
  await reasonOf(pending, 'a', 'engine', /EXECUTION_ENGINE_ROLE all or worker/);
  await fixture.engine({ name: 'plain', config: { EXECUTION_ENGINE_STEPS: '' } });
  for (const id of [running, pending]) {
    const { step: lost } = await reasonOf(id, 'a', 'step_type', /no living engine has the step type "gate"/);
    expect(lost.waiting_for).toEqual({ kind: 'step_type', type: 'gate' });
  }
}
