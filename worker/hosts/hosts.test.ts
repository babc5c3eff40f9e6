import { afterEach, describe, expect, test } from 'bun:test';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Json, JsonObject } from '../../core/json/json.ts';
import { ExpressionError } from '../../expression/expression-error.ts';
import { JsonPayload } from '../../payload/json-payload.ts';
import { type StepContext, StepFailure } from '../../steps/step-type.ts';
import { createLog } from '../../telemetry/log.ts';
import { failureOf } from '../../tests/support/http-peer.ts';
import { chatPeer } from '../../tests/support/peers/chat-peer.ts';
import { stepContext } from '../../tests/support/step-context.ts';
import { until } from '../../tests/support/until.ts';
import { Attempt } from '../attempt.ts';
import type { LostBy, Outcome } from '../outcome.ts';
import { StepHosts, type StepHostsOptions } from './hosts.ts';
import type { HostSetup } from './wire.ts';

const MODULE = `
let calls = 0;
const type = (type, run) => ({ type, schema: {}, run });
export default [
  type('echo', ({ log, heartbeat, signal, evaluate, runScript, ...rest }) => rest),
  type('params', ({ params }) => params),
  type('count', () => ++calls),
  type('pid', () => process.pid),
  type('spins', () => { for (;;); }),
  type('beats', ({ heartbeat, params }) => {
    for (const end = performance.now() + params.ms; performance.now() < end; ) heartbeat();
    return 'alive';
  }),
  type('computes', () => {
    for (const end = performance.now() + 1_500; performance.now() < end; );
    return 'computed';
  }),
  type('never', () => new Promise(() => {})),
  type('obeys', ({ signal }) => new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason));
  })),
  type('tells', ({ signal, heartbeat }) => new Promise((resolve) => {
    signal.addEventListener('abort', () => {
      try { heartbeat(); } catch (error) { resolve({ code: error.code, message: error.message }); }
    });
  })),
  type('logs', ({ log }) => { log.warn('hello', { at: 1 }); console.log('to stdout'); console.error('to stderr'); return 1; }),
  type('prints', async () => {
    for (const piece of ['a line in ', 'three pieces, ', 'é\\nand the rest']) {
      process.stderr.write(piece);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    process.exit(9);
  }),
  type('throws', () => { throw new RangeError('outer', { cause: new Error('inner') }); }),
  type('evaluates', async ({ evaluate }) => [await evaluate('a'), await evaluate({ b: 1 })]),
  type('exits', () => process.exit(9)),
];`;
/** It takes longer to load than its steps may take. */
const SLOW_MODULE = `await new Promise((resolve) => setTimeout(resolve, 300));\n${MODULE}`;

const lines: JsonObject[] = [];
const closing: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  lines.length = 0;
  for (const close of closing.splice(0)) await close();
});

async function hostsOf(
  source = MODULE,
  options: Partial<StepHostsOptions> = {},
  secrets: Readonly<Record<string, string>> = {},
  agent: HostSetup['agent'] = { url: null, key: null },
): Promise<StepHosts> {
  const folder = await mkdtemp(join(tmpdir(), 'step-hosts-'));
  const path = join(folder, 'steps.mjs');
  await writeFile(path, source);
  const log = createLog({
    level: 'info',
    pretty: false,
    secrets: [],
    destination: { write: (line) => void lines.push(JSON.parse(line)) },
  });
  const hosts = new StepHosts({
    setup: {
      modules: [path],
      http: { allow: [], maxResponseBytes: 1_000, timeoutMs: 1_000 },
      script: { timeoutMs: 1_000, memoryBytes: 1_000_000 },
      mail: { server: null, sender: null },
      agent,
      publicUrl: null,
      output: { maxDepth: 16, maxBytes: 10_000 },
      secrets,
      masked: Object.values(secrets),
    },
    size: 1,
    memoryLimit: null,
    log,
    ...options,
  });
  closing.push(
    () => hosts.close(),
    () => rm(folder, { recursive: true }),
  );
  return hosts;
}

const NEVER: number | null = null;
const EXECUTION = { id: 'execution', template: 'test', version: 1 };

interface Started {
  readonly attempt: Attempt;
  readonly result: Promise<Outcome>;
}

function start(
  hosts: StepHosts,
  type: string,
  context: Partial<StepContext> = {},
  { crashes = 0, dynamic = false, timeoutMs = NEVER, heartbeatTimeoutMs = NEVER, workspace = '' } = {},
): Started {
  const attempt = new Attempt(
    EXECUTION,
    { view: 'e', slot: 0 },
    'step',
    { attempt: 1, owner: 'engine' },
    crashes,
    () => {},
  );
  if (timeoutMs !== null) attempt.armTimeout(timeoutMs, () => attempt.finish());
  if (heartbeatTimeoutMs !== null) attempt.armHeartbeat(heartbeatTimeoutMs, () => attempt.finish());
  const call = {
    workspace,
    type,
    attempt,
    context: stepContext(context),
    dynamic,
    crashes,
    alone: crashes >= 2,
    heartbeatTimeoutMs,
  };
  const result = hosts.run(call);
  result.catch(() => {});
  return { attempt, result };
}

/** Starts a handler, and waits until it is about to be called: from then on its attempt's time runs. */
async function begun(hosts: StepHosts, type: string, more: { workspace?: string } = {}): Promise<Started> {
  const started = start(hosts, type, {}, { timeoutMs: LONG_MS, ...more });
  await until(() => started.attempt.timeoutLeftMs !== LONG_MS);
  return started;
}

async function outputOf({ result }: Started): Promise<Json> {
  const outcome = await result;
  if (outcome.kind !== 'completed' || !(outcome.output instanceof JsonPayload))
    throw new Error(`no output: ${JSON.stringify(outcome)}`);
  return outcome.output.value;
}

const lostBy = (event: LostBy): Outcome => ({ kind: 'lost', event });

const ALONE = { crashes: 2 };
const LONG_MS = 3_600_000;

describe('a handler in a host', () => {
  test('gets what a handler in the engine gets', async () => {
    const hosts = await hostsOf(MODULE, {}, { KEY: 'a long secret' });
    const context = {
      params: { text: 'é\u2028', nested: [{ a: null }] },
      inputs: { before: { x: 1 } },
      attempt: 3,
      idempotencyKey: 'the key',
      resumed: { state: [1], parkedMs: 5 },
      execution: { id: 'e', template: 't', version: 7 },
      step: { id: 's', key: 'k' },
    };
    // The secret arrived, and is masked in what is stored.
    expect(await outputOf(start(hosts, 'echo', context))).toEqual({
      ...context,
      hasParams: true,
      secrets: { KEY: '***' },
    });
  });

  test('gets numbers that JSON cannot write, and its result may not have them', async () => {
    const hosts = await hostsOf();
    const params = { a: '\0text', n: Number.NaN } as unknown as JsonObject;
    const failure = await failureOf(start(hosts, 'params', { params }, { dynamic: true }).result);
    expect(failure.message).toContain('NUL');
    const nan = { n: Number.NEGATIVE_INFINITY } as unknown as JsonObject;
    const second = await failureOf(start(hosts, 'params', { params: nan }, { dynamic: true }).result);
    expect(second).toMatchObject({ code: 'output_not_storable', retryable: false });
    expect(second.message).toContain('-Infinity');
  });

  test('shares the state of its module with others in the same process', async () => {
    const hosts = await hostsOf();
    const counts = await Promise.all([1, 2, 3].map(() => outputOf(start(hosts, 'count'))));
    expect(counts).toEqual([1, 2, 3]);
  });

  test('is told why it is to end', async () => {
    const hosts = await hostsOf();
    const told = start(hosts, 'tells');
    const reason = new StepFailure('stopped', 'It is being stopped.');
    expect(await outputOf(start(hosts, 'count'))).toBe(1);
    told.attempt.abort(reason);
    expect(await outputOf(told)).toEqual({ code: 'stopped', message: 'It is being stopped.' });
  });

  test('that gives up for the reason it was told fails with that very reason', async () => {
    const hosts = await hostsOf();
    const { attempt, result } = start(hosts, 'obeys');
    await outputOf(start(hosts, 'count'));
    const reason = new StepFailure('timeout', 'over', { retryable: true });
    attempt.abort(reason);
    expect<unknown>(await failureOf(result)).toBe(reason);
  });

  test('writes to the log of its step, and to that of the engine by way of the console', async () => {
    const hosts = await hostsOf();
    const context = stepContext();
    expect(await outputOf(start(hosts, 'logs', context))).toBe(1);
    expect(context.lines).toEqual([{ level: 'warn', message: 'hello', fields: { at: 1 } }]);
    await until(() => lines.length >= 2);
    expect(lines.map(({ msg, level }) => [msg, level]).sort()).toEqual([
      ['to stderr', 'warn'],
      ['to stdout', 'info'],
    ]);
  });

  test('prints in pieces and is logged in lines, the last one too', async () => {
    const hosts = await hostsOf();
    expect(await start(hosts, 'prints').result).toMatchObject({ kind: 'lost' });
    const printed = () => lines.filter(({ stream }) => stream === 'stderr').map(({ msg }) => msg);
    await until(() => printed().length >= 2);
    expect(printed()).toEqual(['a line in three pieces, é', 'and the rest']);
  });

  test('throws with the stack of its own place, causes included', async () => {
    const hosts = await hostsOf();
    const { message, stack } = await failureOf(start(hosts, 'throws').result);
    expect(message).toBe('outer');
    expect(stack).toMatch(/RangeError: outer[\s\S]*steps\.mjs:\d+[\s\S]*caused by: Error: inner/);
  });

  test('evaluates in the engine', async () => {
    const hosts = await hostsOf();
    const evaluate = (value: Json) => (value === 'a' ? (Number.NaN as Json) : Promise.resolve([value]));
    const { result } = start(hosts, 'evaluates', { evaluate });
    // What came back as NaN is NaN there too.
    expect((await failureOf(result)).message).toContain('/0 is NaN');
  });
});

describe('a built-in type whose process has died twice', () => {
  test('runs alone, and takes its routes, parks and writes as elsewhere', async () => {
    const hosts = await hostsOf();
    const cases = {
      cases: [
        { route: 'a', when: 'no' },
        { route: 'b', when: 'yes' },
      ],
    };
    const evaluate = (value: Json) => value === 'yes';
    const taken = start(hosts, 'switch', { params: cases, evaluate }, ALONE);
    expect(await taken.result).toMatchObject({ kind: 'completed', routes: ['b'] });
    expect(await outputOf(taken)).toEqual({ routes: ['b'] });
    const parked = await start(hosts, 'delay', { params: { for: '1h' } }, ALONE).result;
    expect(parked).toEqual({ kind: 'parked', pause: { forMs: 3_600_000 }, state: null, waitingFor: null });
    const context = stepContext({ params: { message: 'hello' } });
    expect(await outputOf(start(hosts, 'log', context, ALONE))).toBe('hello');
    expect(context.lines).toHaveLength(1);
    expect(await failureOf(start(hosts, 'fail', { params: { code: 'mine' } }, ALONE).result)).toMatchObject({
      code: 'mine',
    });
  });

  test('has its script run by the engine, with its limits and its errors', async () => {
    const hosts = await hostsOf();
    const asked: unknown[] = [];
    const runScript: StepContext['runScript'] = async (code, input, { timeoutMs, memoryBytes }) => {
      asked.push([code, input, timeoutMs, memoryBytes]);
      if (code === 'fails') throw new StepFailure('script_failed', 'no', { details: { line: 3 } });
      if (code === 'breaks') throw new ExpressionError('sandbox_unavailable', 'none');
      return { ran: code };
    };
    const script = (code: string) =>
      start(hosts, 'script', { params: { code, input: [1] }, runScript }, ALONE);
    expect(await outputOf(script('works'))).toEqual({ ran: 'works' });
    expect(asked).toEqual([['works', [1], 1_000, 1_000_000]]);
    expect(await failureOf(script('fails').result)).toMatchObject({
      code: 'script_failed',
      retryable: false,
      details: { line: 3 },
    });
    expect(await failureOf(script('breaks').result)).toMatchObject({ retryable: true });
  });

  test('has its turns kept by the engine, one after the other', async () => {
    const call = { tool_calls: [{ id: 'a', function: { name: 'x', arguments: '{}' } }] };
    await using peer = await chatPeer({ message: call }, '{"is":true}', 'refused');
    const hosts = await hostsOf(MODULE, {}, {}, { url: peer.url, key: 'key-of-the-engine' });
    const kept: unknown[] = [];
    const keepTurn: StepContext['keepTurn'] = async (number, { content }) => {
      kept.push([number, content, peer.questions.length]);
      if (content === 'refused') throw new StepFailure('cancelled', 'The attempt is over.');
    };
    const params = { model: 'm', prompt: 'Hi', schema: { type: 'object', required: ['is'] } };
    const ask = () => start(hosts, 'agent', { params, keepTurn }, ALONE);
    expect(await outputOf(ask())).toEqual({ is: true });
    expect(await failureOf(ask().result)).toMatchObject({ code: 'cancelled' });
    expect(kept).toEqual([
      [1, null, 1],
      [2, '{"is":true}', 2],
      [1, 'refused', 3],
    ]);
    expect(peer.questions.map(({ headers }) => headers.authorization)).toEqual(
      Array(3).fill('Bearer key-of-the-engine'),
    );
  });

  test('is told when its script is to end', async () => {
    const hosts = await hostsOf();
    const { promise: begun, resolve } = Promise.withResolvers<void>();
    const runScript: StepContext['runScript'] = (_code, _input, { signal }) => {
      resolve();
      return new Promise((_resolve, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason), { once: true }),
      );
    };
    const { attempt, result } = start(hosts, 'script', { params: { code: 'x' }, runScript }, ALONE);
    await begun;
    const reason = new StepFailure('timeout', 'over');
    attempt.abort(reason);
    expect<unknown>(await failureOf(result)).toBe(reason);
  });
});

describe('processes', () => {
  test('a step alone has one of its own, which ends with it', async () => {
    const hosts = await hostsOf();
    const shared = await Promise.all([1, 2].map(() => outputOf(start(hosts, 'pid'))));
    const alone = await Promise.all([1, 2].map(() => outputOf(start(hosts, 'pid', {}, ALONE))));
    expect(new Set(shared).size).toBe(1);
    expect(new Set([...shared, ...alone]).size).toBe(3);
    await until(() => hosts.processIds().length === 1);
    expect(hosts.processIds()).toEqual([Number(shared[0])]);
  });

  test('one is enough for handlers that come one at a time, and it is there soon also without any', async () => {
    const hosts = await hostsOf(MODULE, { size: 2 });
    hosts.warmSoon();
    await until(() => hosts.processIds().length === 1);
    for (let count = 0; count < 10; count += 1) await outputOf(start(hosts, 'count'));
    expect(hosts.processIds()).toHaveLength(1);
  });

  test('there are as many shared ones as are needed, and no more than there may be', async () => {
    const hosts = await hostsOf(MODULE, { size: 2 });
    expect(hosts.processIds()).toEqual([]);
    for (let count = 0; count < 10; count += 1) start(hosts, 'never');
    while (hosts.processIds().length < 2) await outputOf(start(hosts, 'count'));
    for (let count = 0; count < 10; count += 1) await outputOf(start(hosts, 'count'));
    expect(hosts.processIds()).toHaveLength(2);
  });

  test('one that does not answer while several handlers are in it has crashed for all of them', async () => {
    const hosts = await hostsOf(MODULE, { times: { tick: 20, hung: 2_000 } });
    const waits = start(hosts, 'never');
    await outputOf(start(hosts, 'count'));
    const loops = start(hosts, 'spins');
    for (const { result } of [waits, loops]) {
      expect(await result).toEqual(lostBy('rescue'));
    }
    expect(lines.at(-1)).toMatchObject({ signal: 'SIGKILL', steps: 2, because: 'hung' });
  });

  test('one that does not answer with a single handler in it is left alone', async () => {
    const hosts = await hostsOf(MODULE, { times: { tick: 20, hung: 100, stalled: 60 }, size: 1 });
    start(hosts, 'spins');
    const [looping] = hosts.processIds();
    // What is begun later runs in another one, once this one has given no sign of life for a while.
    await until(() => hosts.processIds().length === 2);
    expect(await outputOf(start(hosts, 'pid'))).not.toBe(looping);
    expect(hosts.processIds()).toContain(looping!);
  });

  test('one with a handler that is over, and let it answer, is not killed for what another computes', async () => {
    const hosts = await hostsOf(MODULE, { times: { tick: 10, grace: 300, stalled: 60_000 } });
    const [pid] = await Promise.all([outputOf(start(hosts, 'pid'))]);
    const over = start(hosts, 'never');
    await outputOf(start(hosts, 'count'));
    over.attempt.drop();
    // Its host answers meanwhile: once to what it was asked before, and once to what it was asked since.
    for (let round = 0; round < 2; round += 1) {
      over.attempt.remote!.ping();
      await outputOf(start(hosts, 'count'));
    }
    expect(await outputOf(start(hosts, 'computes'))).toBe('computed');
    expect(await outputOf(start(hosts, 'pid'))).toBe(pid!);
  });

  test('one that holds on to a handler that is over for long ends when the others are done', async () => {
    const hosts = await hostsOf(MODULE, { times: { tick: 10, grace: 10, abandoned: 50 } });
    const [before] = await Promise.all([outputOf(start(hosts, 'pid'))]);
    const over = start(hosts, 'never');
    await outputOf(start(hosts, 'count'));
    over.attempt.drop();
    await until(() => !hosts.processIds().includes(Number(before)));
    expect(await outputOf(start(hosts, 'pid'))).not.toBe(before!);
  });

  test('a handler that had not begun when its process died runs in another one', async () => {
    const hosts = await hostsOf(MODULE, { times: { tick: 20, grace: 50 } });
    await outputOf(start(hosts, 'count'));
    const loops = await begun(hosts, 'spins');
    const behind = start(hosts, 'count');
    loops.attempt.drop();
    expect(await outputOf(behind)).toBe(1);
  });

  test('a handler that goes on without yielding is named when its process is ended, also when no attempt is lost', async () => {
    const hosts = await hostsOf(MODULE, { times: { tick: 20, grace: 50 } });
    const before = lines.length;
    const loops = await begun(hosts, 'spins');
    loops.attempt.drop();
    const told = () =>
      lines.slice(before).find(({ msg }) => String(msg).startsWith('A process of steps has ended'));
    await until(() => told() !== undefined);
    expect(told()).toMatchObject({
      because: 'displaced',
      steps: 0,
      lost: [],
      over: [{ step: 'step', type: 'spins' }],
    });
  });

  test("the wait for a process is not the step's time", async () => {
    const hosts = await hostsOf(SLOW_MODULE);
    const { attempt, result } = start(hosts, 'count', {}, { timeoutMs: 150 });
    expect(await outputOf({ attempt, result })).toBe(1);
    const late = start(hosts, 'obeys', {}, { timeoutMs: 50 });
    expect(await failureOf(late.result)).toMatchObject({ code: 'timeout' });
  });

  test('a handler that sends heartbeats takes its time, even without yielding; one that sends none is told to end', async () => {
    const hosts = await hostsOf();
    const alive = start(hosts, 'beats', { params: { ms: 1_500 } }, { heartbeatTimeoutMs: 1_000 });
    expect(await outputOf(alive)).toBe('alive');
    const silent = start(hosts, 'obeys', {}, { heartbeatTimeoutMs: 50 });
    expect(await failureOf(silent.result)).toMatchObject({ code: 'heartbeat_timeout', retryable: true });
  });

  test("the wait for a process is no handler's silence", async () => {
    const hosts = await hostsOf(SLOW_MODULE);
    expect(await outputOf(start(hosts, 'count', {}, { heartbeatTimeoutMs: 150 }))).toBe(1);
  });

  test('of many that are silent each is found when its time is over', async () => {
    const hosts = await hostsOf();
    const alive = start(hosts, 'beats', { params: { ms: 100 } }, { heartbeatTimeoutMs: 5_000 });
    expect(await outputOf(alive)).toBe('alive');
    const silent = Array.from({ length: 16 }, () => start(hosts, 'obeys', {}, { heartbeatTimeoutMs: 1_000 }));
    const [first, ...others] = silent.map(({ result }) => failureOf(result));
    // A host that is slow to answer gets its handlers another span each time.
    const late = start(hosts, 'obeys', {}, { heartbeatTimeoutMs: 15_000 });
    expect((await first!).code).toBe('heartbeat_timeout');
    const isOver = failureOf(late.result).then(() => 'found after one that has more time');
    for (const other of others)
      expect(await Promise.race([other.then(({ code }) => code), isOver])).toBe('heartbeat_timeout');
  });

  test('nobody is blamed for silence while another handler in the process does not yield', async () => {
    const hosts = await hostsOf(MODULE, { times: { tick: 20, hung: 1_000 } });
    await outputOf(start(hosts, 'count'));
    const innocent = start(hosts, 'obeys', {}, { heartbeatTimeoutMs: 200 });
    const loops = start(hosts, 'spins');
    const lost = await Promise.all([loops.result, innocent.result]);
    expect(lost).toEqual([lostBy('rescue'), lostBy('rescue')]);
  });

  test('a step that waits for one is told when it is to end', async () => {
    const hosts = await hostsOf('await new Promise(() => {}); export default [];');
    const { attempt, result } = start(hosts, 'count');
    const reason = new StepFailure('cancelled', 'The execution has ended.');
    attempt.abort(reason);
    expect<unknown>(await failureOf(result)).toBe(reason);
  });

  test('when none can be started steps are given back, until one can', async () => {
    const lock = join(tmpdir(), `step-hosts-${crypto.randomUUID()}`);
    await writeFile(lock, '');
    closing.push(() => rm(lock, { force: true }));
    const locked = `import { existsSync } from 'node:fs';
if (existsSync(${JSON.stringify(lock)})) throw new Error('the licence is taken');
${MODULE}`;
    const hosts = await hostsOf(locked);
    const given = await Promise.all([start(hosts, 'count').result, start(hosts, 'count', {}, ALONE).result]);
    expect(given).toEqual([lostBy('release'), lostBy('release')]);
    expect(hosts.areUsable).toBe(false);
    expect(await start(hosts, 'count').result).toEqual(lostBy('release'));
    const told = () =>
      lines.filter(({ msg }) => /No process of steps|can be started again/.test(String(msg)));
    expect(told()).toMatchObject([{ why: expect.stringContaining('the licence is taken') }]);
    await rm(lock);
    await until(() => hosts.areUsable);
    expect(await outputOf(start(hosts, 'count'))).toBe(1);
    await until(() => told().length >= 2);
  });

  test('when there is one and no second beside it, a step that is to run alone fails and may be tried again', async () => {
    const taken = join(tmpdir(), `step-hosts-${crypto.randomUUID()}`);
    closing.push(() => rm(taken, { force: true }));
    const single = `import { writeFileSync } from 'node:fs';
writeFileSync(${JSON.stringify(taken)}, '', { flag: 'wx' });
${MODULE}`;
    const hosts = await hostsOf(single);
    expect(await outputOf(start(hosts, 'count'))).toBe(1);
    const failure = await failureOf(start(hosts, 'count', {}, ALONE).result);
    expect(failure).toMatchObject({ code: 'host_unavailable', retryable: true });
    expect(failure.message).toContain('EEXIST');
    expect(await outputOf(start(hosts, 'count'))).toBe(2);
  });

  test('what waits beside one that does not answer, while no other can be started, is given back', async () => {
    const taken = join(tmpdir(), `step-hosts-${crypto.randomUUID()}`);
    closing.push(() => rm(taken, { force: true }));
    const single = `import { writeFileSync } from 'node:fs';
writeFileSync(${JSON.stringify(taken)}, '', { flag: 'wx' });
${MODULE}`;
    const hosts = await hostsOf(single, { times: { tick: 20, stalled: 100 } });
    start(hosts, 'spins');
    // Those that come before it is found silent wait in it.
    let end: unknown = null;
    await until(() => {
      start(hosts, 'count').result.then((result) => {
        end ??= result;
      });
      return end !== null;
    });
    expect(end).toEqual(lostBy('release'));
    expect(hosts.areUsable).toBe(false);
  });

  test('a crash of a step alone is told with what ended it', async () => {
    const hosts = await hostsOf();
    const failure = await failureOf(start(hosts, 'exits', {}, ALONE).result);
    expect(failure).toMatchObject({
      code: 'poison',
      retryable: false,
      details: { crashes: 3, exit_code: 9, signal: null },
    });
    expect(await start(hosts, 'exits').result).toEqual(lostBy('rescue'));
    const told = lines.filter(({ msg }) => String(msg).startsWith('A process of steps has ended'));
    expect(told.at(-1)).toMatchObject({ steps: 1, lost: [{ step: 'step', type: 'exits' }] });
  });

  test('all of them end with the engine', async () => {
    const hosts = await hostsOf();
    start(hosts, 'spins');
    start(hosts, 'never', {}, ALONE);
    await until(() => hosts.processIds().length === 2);
    await hosts.close();
    expect(hosts.processIds()).toEqual([]);
  });
});

test('handlers of a workspace that never yield hold up no other workspace', async () => {
  const hosts = await hostsOf(MODULE, { size: 2 });
  const echo = (workspace: string) => outputOf(start(hosts, 'count', {}, { workspace }));
  await Promise.all([echo('other'), echo('busy')]);
  await begun(hosts, 'spins', { workspace: 'busy' });
  for (let at = 0; at < 5; at += 1) start(hosts, 'spins', {}, { workspace: 'busy' });
  for (let at = 0; at < 3; at += 1) expect(await echo('other')).toBeNumber();
});
