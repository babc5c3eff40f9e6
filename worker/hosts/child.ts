/**
 * Entry point of a step host: a process that runs handlers for the engine, many at a time, and reports the outcome of
 * each. It has the engine's environment and privileges: it protects the engine from accidents, not from malice.
 *
 * Invariant 1: a handler's result is turned into text here: a value that cannot be stored never reaches the engine.
 * Invariant 2: a handler is called only after the engine was told that it begins.
 * Invariant 3: this process exits when the engine is gone.
 */
import { createReadStream, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { Worker } from 'node:worker_threads';
import type { Json, JsonObject } from '../../core/json/json.ts';
import { readResults } from '../../expression/sandbox/wire.ts';
import { OutputStore } from '../../payload/output-store.ts';
import { type Frame, FrameReader } from '../../process/frame.ts';
import type { AnswerSchemas } from '../../steps/agent/answer.ts';
import { BUILT_IN_NAMES } from '../../steps/built-in-names.ts';
import { loadUserStepTypes } from '../../steps/modules/user-modules.ts';
import type { createStepTypes } from '../../steps/registry.ts';
import type { StepType } from '../../steps/step-type.ts';
import { CHANNEL, flush, say, sayNow } from './child-output.ts';
import { HostedStep, replied } from './child-step.ts';
import { type HostSetup, messageOf, type RunRequest, stepFailure, type ToHost } from './wire.ts';

const MAX_FRAME_BYTES = 2 ** 31;
/** When memory is short, the kernel ends this process before the engine and the database. */
const OOM_SCORE = '500';

interface Host {
  /** The operator's own types. */
  readonly types: ReadonlyMap<string, StepType>;
  /** Loaded when the first one runs: most hosts run none. */
  builtIn(type: string): Promise<StepType>;
  readonly store: OutputStore;
  readonly secrets: Readonly<Record<string, string>>;
}

const reader = new FrameReader<ToHost>(MAX_FRAME_BYTES);
const running = new Map<number, HostedStep>();
let host: Host | null = null;
let checker: AnswerSchemas | null = null;

// Node.js waits for its threads at exit, and a blocking read never ends: as a stream, stdin does not block.
if (process.versions.bun === undefined) process.stdin.pause();
new Worker(new URL('./lifeline.ts', import.meta.url)).unref();
sacrificeFirst();
// The engine handles a drain: signals sent to the whole service must not end handlers before it.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
// An unhandled rejection of one handler must not end the process of the others.
process.on('unhandledRejection', (reason) =>
  complain('A promise was rejected that no handler waits for', reason),
);
process.on('uncaughtException', (error) => complain('An error was thrown outside of a handler', error));
process.on('exit', flush);
// Bun reads a socket like a file; Node.js must be told that it is one.
const input =
  process.versions.bun === undefined
    ? new Socket({ fd: CHANNEL, readable: true, writable: false })
    : createReadStream('', { fd: CHANNEL });
input.on('data', (chunk) => receive(reader.push(chunk as Buffer)));
input.on('end', () => process.exit(0));
input.on('error', () => process.exit(0));

function receive(frames: readonly Frame<ToHost>[]): void {
  const over = new Set(frames.flatMap(({ header }) => (header.kind === 'abort' ? [header.id] : [])));
  const begun = frames.flatMap(({ header }) =>
    header.kind === 'run' && !over.has(header.id) ? [header.id] : [],
  );
  if (begun.length > 0) sayNow({ kind: 'begun', ids: begun });
  for (const { header, body } of frames) {
    // A run that ended before it began is not begun.
    if (header.kind === 'run' && over.has(header.id)) say({ kind: 'aborted', id: header.id });
    else accept(header, body);
  }
}

function accept(message: ToHost, body: string): void {
  switch (message.kind) {
    case 'setup':
      setUp(message);
      return;
    case 'run':
      run(message, body);
      return;
    case 'abort':
      running.get(message.id)?.abort(stepFailure(message.reason));
      return;
    case 'reply':
      replied(message.call, body === '' ? null : valuesOf(body, message.special)[0]!, message.failure);
      return;
    case 'ping':
      sayNow({ kind: 'pong' });
      return;
    case 'close':
      process.exit(0);
  }
}

async function setUp({ modules, output, secrets, masked, ...settings }: HostSetup): Promise<void> {
  try {
    const own = await loadUserStepTypes(modules, process.cwd());
    let builtIn: Promise<ReadonlyMap<string, StepType>> | null = null;
    host = {
      types: new Map(own.map((type) => [type.type, type])),
      builtIn: async (type) => {
        builtIn ??= loadBuiltIn(settings);
        return (await builtIn).get(type)!;
      },
      store: new OutputStore(output, masked),
      secrets,
    };
    say({ kind: 'ready' });
  } catch (error) {
    say({ kind: 'broken', message: messageOf(error) });
  }
}

async function loadBuiltIn(
  settings: Omit<Parameters<typeof createStepTypes>[0], 'schemas' | 'extra'>,
): Promise<ReadonlyMap<string, StepType>> {
  const registry = await import('../../steps/registry.ts');
  return registry.createStepTypes({ ...settings, schemas });
}

/** Loaded when the first answer is checked: most hosts never do. */
async function schemas(): Promise<AnswerSchemas> {
  const { createSchemaChecker } = await import('../../definition/schema/json-schema.ts');
  checker ??= createSchemaChecker();
  return checker;
}

function run(request: RunRequest, body: string): void {
  const { types, builtIn, store, secrets } = host!;
  const { id, type } = request;
  const found = types.get(type) ?? (BUILT_IN_NAMES.has(type) ? builtIn(type) : undefined);
  if (found === undefined) {
    const message = `the step's process has no step type "${type}"`;
    say({ kind: 'threw', id, name: 'Error', message, stack: '' });
    return;
  }
  const [params, inputs] = valuesOf(body, request.special);
  const step = new HostedStep(request, [params as JsonObject, inputs as Record<string, Json>], secrets);
  running.set(id, step);
  step.run(found, store).finally(() => running.delete(id));
}

function valuesOf(body: string, special: boolean): Json[] {
  return readResults(body, special) as Json[];
}

function complain(what: string, thrown: unknown): void {
  process.stderr.write(`${what}: ${thrown instanceof Error ? thrown.stack : messageOf(thrown)}\n`);
}

function sacrificeFirst(): void {
  try {
    writeFileSync('/proc/self/oom_score_adj', OOM_SCORE);
  } catch {
    // Not Linux, or not allowed.
  }
}
