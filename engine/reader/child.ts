/**
 * Entry point of a reader: a process that reads and checks callers' data for the engine, one task at a time.
 *
 * It has the engine's environment, because custom step types define their own parameters; no secrets
 * are sent to it, and it opens no connection.
 *
 * Invariant: this process exits when the engine is gone.
 */
import { createReadStream, writeFileSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { Worker } from 'node:worker_threads';
import { EngineError } from '../../core/problem.ts';
import { encodeFrame, type Frame, FrameReader } from '../../process/frame.ts';
import { loadUserStepTypes } from '../../steps/modules/user-modules.ts';
import { createStepTypes } from '../../steps/registry.ts';
import { lintContext } from '../../template/context.ts';
import { type Answer, ReaderTasks } from './tasks.ts';
import type { FromReader, ReaderRequest, ReaderSetup } from './wire.ts';

const CHANNEL = 3;
const MAX_FRAME_BYTES = 2 ** 31;
/** When memory is short, the kernel ends this process before the engine and the database. */
const OOM_SCORE = '900';

const reader = new FrameReader<ReaderSetup | ReaderRequest>(MAX_FRAME_BYTES);
const pause = new Int32Array(new SharedArrayBuffer(4));
let tasks: ReaderTasks | null = null;

// Node.js waits for its threads at exit, and a blocking read never ends: as a stream, stdin does not block.
if (process.versions.bun === undefined) process.stdin.pause();
new Worker(new URL('../../worker/hosts/lifeline.ts', import.meta.url)).unref();
sacrificeFirst();
// The engine handles a drain: requests that it answers meanwhile are still read here.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
// Bun reads a socket like a file; Node.js must be told that it is one.
const input =
  process.versions.bun === undefined
    ? new Socket({ fd: CHANNEL, readable: true, writable: false })
    : createReadStream('', { fd: CHANNEL });
input.on('data', (chunk) => {
  for (const frame of reader.push(chunk as Buffer)) accept(frame);
});
input.on('end', () => process.exit(0));
input.on('error', () => process.exit(0));

function accept({ header, bytes }: Frame<ReaderSetup | ReaderRequest>): void {
  if (!('kind' in header)) setUp(header);
  else if (tasks !== null) say(...answer(tasks, header, bytes));
}

async function setUp(setup: ReaderSetup): Promise<void> {
  try {
    const { modules, secretNames, maxSteps, maxDepth } = setup;
    const extra = await loadUserStepTypes(modules, process.cwd());
    const stepTypes = createStepTypes({ ...setup, extra });
    tasks = new ReaderTasks(setup, lintContext(stepTypes, { maxSteps, maxDepth }, secretNames));
    say({ kind: 'ready' });
  } catch (error) {
    say({ kind: 'broken', message: error instanceof Error ? error.message : String(error) });
  }
}

function answer(tasks: ReaderTasks, request: ReaderRequest, bytes: Buffer): [FromReader, string] {
  let found: Answer;
  try {
    found = tasks.run(request, bytes);
  } catch (error) {
    // Any other error ends the process: the task is tried once more, and then fails.
    if (!(error instanceof EngineError)) throw error;
    const { code, message, problems } = error;
    return [{ kind: 'done', refusal: { code, message, problems } }, ''];
  }
  return [{ kind: 'done', refusal: null, answer: found.answer }, found.body];
}

function say(message: FromReader, body = ''): void {
  const frame = encodeFrame(message, body);
  for (let sent = 0; sent < frame.length; ) {
    try {
      sent += writeSync(CHANNEL, frame, sent);
    } catch (error) {
      // The engine is gone.
      if ((error as { code?: unknown }).code !== 'EAGAIN') process.exit(0);
      Atomics.wait(pause, 0, 0, 1);
    }
  }
}

function sacrificeFirst(): void {
  try {
    writeFileSync('/proc/self/oom_score_adj', OOM_SCORE);
  } catch {
    // Not Linux.
  }
}
