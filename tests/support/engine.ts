/**
 * Whole engines for tests: in this process or in one of their own, on a database of the test's own, with step
 * types that record their runs there (steps/recording.ts).
 */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import { createEngineClient, type EngineClient, EngineProblem, isFinal } from '../../client/engine-client.ts';
import { loadConfig } from '../../config/config.ts';
import type { JsonObject } from '../../core/json/json.ts';
import { type Engine, startEngine } from '../../engine/engine.ts';
import type { ExecutionStatusBody, StartItem } from '../../services/execution-answers.ts';
import { createLog, type Log } from '../../telemetry/log.ts';
import { TEST_BACKEND, type TestDatabaseOptions, testDatabase } from './database/database.ts';
import { assertPortable, guardStatements } from './faults/portable-guard.ts';
import { closeRecorder, RECORDS } from './steps/recorder.ts';
import { until } from './until.ts';

export type Env = Readonly<Record<string, string>>;

/** A migrated database with the tables of the recording step types. */
export interface EngineDatabase {
  readonly url: string;
  readonly pool: pg.Pool;
  /** Opens a gate: steps that wait for it go on. */
  openGate(name: string): Promise<void>;
  runs(executionId?: string): Promise<StepRunRow[]>;
  /** Polls until the query answers a row with a true first column; answers the row. */
  until(text: string, values?: unknown[]): Promise<JsonObject>;
  drop(): Promise<void>;
}

export interface StepRunRow {
  readonly engine: string;
  readonly execution_id: string;
  readonly step: string;
  readonly step_id: string;
  readonly attempt: number;
  readonly note: string | null;
}

/** It has this version's schema unless the options say otherwise. */
export async function engineDatabase(options: TestDatabaseOptions = {}): Promise<EngineDatabase> {
  const { url, drop } = await testDatabase({ migrated: true, ...options });
  const pool = new pg.Pool({ connectionString: url, max: 4, application_name: 'test' });
  pool.on('error', () => {});
  const isPrepared = options.migrated !== false && options.copyOf === undefined;
  await (isPrepared ? Promise.resolve() : pool.query(RECORDS)).catch(async (error: unknown) => {
    await pool.end();
    await drop();
    throw error;
  });
  return {
    url,
    pool,
    openGate: async (name) => {
      await pool.query('insert into test_gates values ($1) on conflict do nothing', [name]);
    },
    runs: async (executionId) => {
      const { rows } = await pool.query(
        `select engine, execution_id, step, step_id, attempt, note from test_runs
          where $1::uuid is null or execution_id = $1 order by position`,
        [executionId ?? null],
      );
      return rows;
    },
    until: async (text, values = []) => {
      let found: JsonObject = {};
      await until(async () => {
        found = (await pool.query(text, values)).rows[0] ?? {};
        return Object.values(found)[0] === true;
      });
      return found;
    },
    drop: async () => {
      if (!pool.ended) await pool.end();
      await drop();
    },
  };
}

/** Calls of the API as tests make them. */
export interface EngineCalls {
  readonly url: string;
  readonly client: EngineClient;
  /** Publishes a definition; its name is made up unless given. Returns the name. */
  publish(definition: JsonObject): Promise<string>;
  start(template: string, item?: Partial<StartItem>): Promise<string>;
  /** As `request`, made again for as long as the engine is not available, as clients do whose call may be made twice. */
  requestAtLast(...call: Parameters<EngineCalls['request']>): ReturnType<EngineCalls['request']>;
  /** Starts, however often the engine is not available. */
  startAtLast(item: StartItem): Promise<string>;
  /** The final status, with outputs. */
  end(executionId: string): Promise<ExecutionStatusBody>;
  /** Publishes, starts and waits for the end. */
  run(definition: JsonObject, item?: Partial<StartItem>): Promise<ExecutionStatusBody>;
  request(
    method: string,
    path: string,
    body?: unknown,
    token?: string,
  ): Promise<{ status: number; body: JsonObject }>;
  /** The value of a metric without labels. */
  metric(name: string): Promise<number>;
  /** Polls until the metric has the value; throws when it is beyond it. */
  metricReaches(name: string, value: number): Promise<void>;
}

/** Makes a call again for as long as the engine is not available: a busy machine may keep it from its database. */
async function atLast<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof EngineProblem) || error.code !== 'unavailable') throw error;
    }
  }
}

/** @param token sent with every call */
export function engineCalls(url: string, token?: string): EngineCalls {
  const client = createEngineClient({ url, token });
  const calls: EngineCalls = {
    url,
    client,
    publish: async (definition) => {
      const named = { name: `t-${randomUUID()}`, ...definition };
      return (await atLast(() => client.publish(JSON.stringify(named), 'application/json'))).name;
    },
    start: async (template, item = {}) => {
      // With a key it may be started again.
      const start = { template, idempotency_key: randomUUID(), ...item };
      return (await atLast(() => client.start(start))).execution_id;
    },
    end: async (executionId) => {
      for (;;) {
        const status = await atLast(() => client.status(executionId, { wait: '30s', includeOutputs: true }));
        if (isFinal(status.status)) return status;
      }
    },
    run: async (definition, item = {}) => calls.end(await calls.start(await calls.publish(definition), item)),
    request: async (method, path, body, key = token) => {
      const response = await fetch(url + path, {
        method,
        headers: {
          'content-type': 'application/json',
          ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      return { status: response.status, body: text === '' ? {} : JSON.parse(text) };
    },
    requestAtLast: async (...call) => {
      let answer = await calls.request(...call);
      await until(async () => {
        if (answer.status !== 503 || answer.body.code !== 'unavailable') return true;
        answer = await calls.request(...call);
        return false;
      });
      return answer;
    },
    startAtLast: async (item) => {
      const { status, body } = await calls.requestAtLast('POST', '/api/v1/execution/start', item);
      if (status >= 300) throw new Error(`The start was answered ${status}: ${JSON.stringify(body)}`);
      return String(body.execution_id);
    },
    metric: async (name) => {
      const text = await (await fetch(`${url}/metrics`)).text();
      const line = text.split('\n').find((candidate) => candidate.startsWith(`${name} `));
      if (line === undefined) throw new Error(`no metric ${name}:\n${text}`);
      return Number(line.split(' ')[1]);
    },
    metricReaches: async (name, value) => {
      await until(async () => {
        const found = await calls.metric(name);
        if (found > value) throw new Error(`${name} is ${found} where ${value} was expected`);
        return found === value;
      });
    },
  };
  return calls;
}

export type StepBodies = NonNullable<ExecutionStatusBody['steps']>;

/** `{ key: status }` of the steps. */
export function statuses({ steps }: ExecutionStatusBody): Record<string, string> {
  return Object.fromEntries(steps.map(({ key, status }) => [key, status]));
}

export function stepOf({ steps }: ExecutionStatusBody, key: string) {
  const step = steps.find((candidate) => candidate.key === key);
  if (step === undefined) throw new Error(`no step ${key}`);
  return step;
}

export interface TestEngine extends EngineCalls {
  readonly engine: Engine;
  readonly name: string;
  stop(): Promise<void>;
}

export interface TestEngineOptions {
  readonly url: string;
  /** Where the recording step types write; default: the same database by the same way. */
  readonly recordsUrl?: string;
  /** Names the engine in test_runs. */
  readonly name?: string;
  /** Environment variables. */
  readonly config?: Env;
  readonly token?: string;
  /** Where an engine in this process logs; default: nowhere. */
  readonly log?: Log;
  /** Kills an engine in a process of its own, also before it is ready. */
  readonly signal?: AbortSignal;
}

/** An engine in this process. Its stop may be called again. */
export async function startTestEngine(options: TestEngineOptions): Promise<TestEngine> {
  const { url, recordsUrl = url, name = 'main', config = {}, token } = options;
  const steps = await stepsModule(recordsUrl, name);
  const loaded = loadConfig({ ...baseEnv(steps.path), ...config });
  if (loaded.databaseBackend !== 'postgres')
    guardStatements(loaded.databaseBackend, new URL(url).pathname.slice(1));
  const log = options.log ?? createLog({ level: 'silent', pretty: false, secrets: [] });
  const engine = await startEngine(loaded, url, log).catch(async (error: unknown) => {
    await steps.remove();
    throw error;
  });
  const stop = async () => {
    await engine.stop();
    await closeRecorder(recordsUrl, name);
    await steps.remove();
    assertPortable();
  };
  let stopped: Promise<void> | null = null;
  return {
    ...engineCalls(engine.url, token),
    engine,
    name,
    stop: () => {
      stopped ??= stop();
      return stopped;
    },
  };
}

export interface EngineProcess extends EngineCalls {
  readonly name: string;
  readonly pid: number;
  /** The engine's id. */
  readonly id: string;
  /** Sends a signal to this process alone. */
  kill(signal: NodeJS.Signals): void;
  /** The exit code; null when a signal ended it. */
  readonly exited: Promise<number | null>;
  /** What it logged so far. */
  output(): string;
}

/** An engine in a process of its own, as `bun execution-engine.ts` starts it. */
export async function startEngineProcess(options: TestEngineOptions): Promise<EngineProcess> {
  const { url, recordsUrl = url, name = 'main', config = {}, token, signal } = options;
  const steps = await stepsModule(recordsUrl, name);
  const entry = join(import.meta.dir, '..', '..', 'execution-engine.ts');
  const env = {
    PATH: process.env.PATH ?? '',
    // What an engine that is killed leaves there goes with the folder.
    TMPDIR: steps.folder,
    // Else Bun keeps it in the folder above, and every engine compiles everything anew.
    BUN_RUNTIME_TRANSPILER_CACHE_PATH: join(tmpdir(), 'execution-engine-tests-compiled'),
    ...baseEnv(steps.path),
    EXECUTION_ENGINE_LOG_LEVEL: 'info',
    DATABASE_URL: url,
    ...config,
  };
  const isPortable = 'DATABASE_BACKEND' in env && env.DATABASE_BACKEND !== 'postgres';
  const preload = isPortable ? ['--preload', join(import.meta.dir, 'faults', 'portable-preload.ts')] : [];
  const child = Bun.spawn([TEST_RUNTIME, ...preload, entry], {
    env,
    stdout: 'pipe',
    stderr: 'pipe',
    ...(signal === undefined ? {} : { signal }),
    killSignal: 'SIGKILL',
  });
  let text = '';
  const { promise: ready, resolve, reject } = Promise.withResolvers<{ engine: string; url: string | null }>();
  const read = async (stream: ReadableStream<Uint8Array>) => {
    const decoder = new TextDecoder();
    for await (const chunk of stream) {
      text += decoder.decode(chunk, { stream: true });
      const line = text.split('\n').find((candidate) => candidate.includes('Execution Engine is ready'));
      if (line?.endsWith('}')) resolve(JSON.parse(line));
    }
  };
  const reading = Promise.all([read(child.stdout), read(child.stderr)]);
  const exited = child.exited.then(async () => {
    await reading;
    await steps.remove();
    reject(new Error(`The engine ended before it was ready:\n${text}`));
    return child.signalCode === null ? child.exitCode : null;
  });
  const { engine: id, url: address } = await ready;
  return {
    ...engineCalls(address ?? '', token),
    name,
    id,
    pid: child.pid,
    kill: (signal) => {
      // A process that is gone has no pid of its own any more.
      if (child.exitCode === null && child.signalCode === null) process.kill(child.pid, signal);
    },
    exited,
    output: () => text,
  };
}

/** What engines in processes of their own run on: `EXECUTION_ENGINE_TEST_RUNTIME=/usr/bin/node npm test <files>`. */
const TEST_RUNTIME = process.env.EXECUTION_ENGINE_TEST_RUNTIME ?? process.execPath;

function baseEnv(stepsPath: string): Env {
  return {
    DATABASE_BACKEND: TEST_BACKEND,
    EXECUTION_ENGINE_PORT: '0',
    EXECUTION_ENGINE_HOST: '127.0.0.1',
    EXECUTION_ENGINE_STEPS: stepsPath,
  };
}

/** A module of the recording step types that knows its database and its engine's name. */
async function stepsModule(url: string, engine: string) {
  const folder = await mkdtemp(join(tmpdir(), 'engine-steps-'));
  const path = join(folder, 'steps.ts');
  const source = pathToFileURL(join(import.meta.dir, 'steps', 'recording.ts')).href;
  await writeFile(
    path,
    `import { recordingSteps } from ${JSON.stringify(source)};\n` +
      `export default recordingSteps(${JSON.stringify(url)}, ${JSON.stringify(engine)});\n`,
  );
  return { folder, path, remove: () => rm(folder, { recursive: true, force: true }) };
}
