/**
 * Entry point of a sandbox process: reads requests from stdin, runs them one after the other, answers on stdout.
 *
 * It has no secrets in its environment and needs no permissions; the engine kills it when it does not answer.
 *
 * Invariant 1: answers are written before the next request begins, so the first request without an answer is
 * the one that runs.
 * Invariant 2: when the engine is gone, stdin ends and so does this process.
 */
import { writeSync } from 'node:fs';
import { encodeFrame, type Frame, FrameReader } from '../../process/frame.ts';
import { type Outcome, SandboxVm } from './vm.ts';
import type { Answer, EvaluateRequest, LogLevel, Request, ScriptRequest } from './wire.ts';

const MAX_FRAME_BYTES = 128 * 1024 * 1024;
const MAX_LOG_LINES = 1000;
const TIRED_CPU_MS = 600_000;

type Work = Pick<Frame<EvaluateRequest | ScriptRequest>, 'header' | 'body'>;

const queue: Work[] = [];
const reader = new FrameReader<Request>(MAX_FRAME_BYTES);
const pause = new Int32Array(new SharedArrayBuffer(4));
let scheduled = false;
let vm: SandboxVm | null = null;

// Only frames may go to stdout.
for (const level of ['log', 'info', 'warn', 'error', 'debug'] as const) console[level] = () => undefined;

process.stdin.on('data', (chunk: Buffer) => {
  for (const frame of reader.push(chunk)) accept(frame);
});
process.stdin.on('end', () => process.exit(0));
process.stdin.on('error', () => process.exit(0));

vm = await SandboxVm.create(Number(process.argv[2]));
send({ kind: 'ready' });
schedule();

function accept({ header, body }: Frame<Request>): void {
  if (header.kind === 'drop') drop(new Set(header.ids));
  else queue.push({ header, body });
  schedule();
}

function drop(ids: ReadonlySet<number>): void {
  for (let position = queue.length - 1; position >= 0; position--) {
    const { id } = queue[position]!.header;
    if (!ids.has(id)) continue;
    queue.splice(position, 1);
    send({ kind: 'dropped', id });
  }
}

function schedule(): void {
  if (scheduled || queue.length === 0 || vm === null) return;
  scheduled = true;
  setImmediate(next, vm);
}

function next(ready: SandboxVm): void {
  scheduled = false;
  const work = queue.shift();
  if (work !== undefined) answer(ready, work);
  schedule();
}

function answer(vm: SandboxVm, { header, body }: Work): void {
  const { id } = header;
  const before = usedMs();
  const outcome = header.kind === 'evaluate' ? vm.evaluate(header, body) : runScript(vm, header, body);
  const now = usedMs();
  const about = { id, tired: vm.tired || now > TIRED_CPU_MS, cpuMs: now - before };
  if ('failure' in outcome) send({ kind: 'failed', failure: outcome.failure, ...about });
  else send({ kind: 'done', special: outcome.special, ...about }, outcome.body);
  if (vm.broken) process.exit(0);
}

/** Returns the processor time of this process since its start. */
function usedMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

function runScript(vm: SandboxVm, request: ScriptRequest, body: string): Outcome {
  let lines = 0;
  const onLog = (level: LogLevel, line: string): void => {
    if (++lines <= MAX_LOG_LINES) send({ kind: 'log', id: request.id, level, line });
  };
  return vm.runScript(request, body, onLog);
}

function send(header: Answer, body = ''): void {
  const frame = encodeFrame(header, body);
  for (let sent = 0; sent < frame.length; ) {
    try {
      sent += writeSync(1, frame, sent);
    } catch (error) {
      if ((error as { code?: string }).code !== 'EAGAIN') process.exit(0);
      Atomics.wait(pause, 0, 0, 1);
    }
  }
}
