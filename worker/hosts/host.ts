/**
 * One step host, seen from the engine: its runs, its requests, and whether it answers.
 *
 * Not here: the choice of a host for each run (hosts.ts), and when a host must end (watch.ts).
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Json, JsonObject } from '../../core/json/json.ts';
import { ExpressionError } from '../../expression/expression-error.ts';
import { readResults } from '../../expression/sandbox/wire.ts';
import { encodeFrame, type Frame } from '../../process/frame.ts';
import { type Exit, FramedProcess } from '../../process/framed-process.ts';
import { cpuMs, memoryBytes } from '../../process/process-usage.ts';
import { StepFailure } from '../../steps/step-type.ts';
import type { KillReason } from './host-end.ts';
import type { HostedRun } from './run.ts';
import {
  encodeValues,
  type FromHost,
  type HostSetup,
  MAX_CALL_BYTES,
  messageOf,
  type ToHost,
  type WireFailure,
  wireFailure,
} from './wire.ts';

export interface StepHostOptions {
  readonly setup: HostSetup;
  /** Reserved for a single handler. */
  readonly alone: boolean;
  /** Memory allowed beyond its own needs; null: no limit. */
  readonly memoryLimit: number | null;
  onReady(host: StepHost): void;
  /** A handler has ended. */
  onSettled(host: StepHost): void;
  onOutput(host: StepHost, line: string, stream: 'stdout' | 'stderr'): void;
  onClose(host: StepHost, exit: Exit): void;
}

/** A sign of life is late only after this time. */
const PROMPT_MS = 40;
const MANY_RUNS = 4;
const ENTRY = fileURLToPath(new URL('./child.ts', import.meta.url));
const PRLIMIT = '/usr/bin/prlimit';

export class StepHost {
  readonly runs = new Map<number, HostedRun>();
  readonly startedAt = performance.now();
  ready = false;
  /** Gets no more runs. */
  retired = false;
  /** Set when the engine ends it. */
  killReason: KillReason | null = null;
  /** Reason why it cannot run anything, as reported by itself. */
  broken: string | null = null;
  readonly #options: StepHostOptions;
  readonly #process: FramedProcess<FromHost>;
  #outgoing: Buffer[] = [];
  /** Time of the unanswered ping, of performance.now(); null: none. */
  #pingedAt: number | null = null;
  #cpuAtPing: number | null = null;
  #memoryAtStart = 0;

  constructor(options: StepHostOptions) {
    this.#options = options;
    this.#process = new FramedProcess<FromHost>({
      command: process.execPath,
      args: [ENTRY],
      channel: 'extra',
      maxFrameBytes: MAX_CALL_BYTES + options.setup.output.maxBytes,
      onFrame: (frame) => this.#onFrame(frame),
      onOutput: (line, stream) => options.onOutput(this, line, stream),
      onClose: (exit) => options.onClose(this, exit),
    });
    this.#send({ kind: 'setup', ...options.setup });
  }

  get alone(): boolean {
    return this.#options.alone;
  }

  get pid(): number | null {
    return this.#process.pid;
  }

  /** Attempts that are still wanted. */
  get live(): HostedRun[] {
    return [...this.runs.values()].filter(({ abandonedAt }) => abandonedAt === null);
  }

  /** Handlers that run although their attempts are over. When one of them never yielded: those that did not. */
  get over(): HostedRun[] {
    const over = [...this.runs.values()].filter(({ abandonedAt }) => abandonedAt !== null);
    return this.killReason === 'displaced' ? over.filter(({ hasYielded }) => !hasYielded) : over;
  }

  /** Milliseconds since an unanswered request for a sign of life. */
  get silentMs(): number {
    return this.#pingedAt === null ? 0 : performance.now() - this.#pingedAt;
  }

  /** Whether another host would help: this one has many runs, or a handler keeps it from answering. */
  get isBusy(): boolean {
    return this.runs.size >= MANY_RUNS || this.silentMs > PROMPT_MS;
  }

  /** Returns whether it owes a sign of life, and a handler other than the run's may be the cause. */
  isHeldUpBeside(run: HostedRun): boolean {
    return this.silentMs > PROMPT_MS && [...this.runs.values()].some((other) => other !== run && other.begun);
  }

  /** Processor time used during its silence; null: unknown. */
  get busyMs(): number | null {
    const now = cpuMs(this.pid);
    return now === null || this.#cpuAtPing === null ? null : now - this.#cpuAtPing;
  }

  /** Memory taken since it was ready. */
  get memoryUsed(): number {
    return (memoryBytes(this.pid)?.resident ?? 0) - this.#memoryAtStart;
  }

  run(run: HostedRun): void {
    this.runs.set(run.id, run);
    this.#write(run.frame());
  }

  abort(run: HostedRun, reason: StepFailure): void {
    if (this.runs.has(run.id)) this.#send({ kind: 'abort', id: run.id, reason: wireFailure(reason, null) });
  }

  /** Asks for a sign of life, unless one is awaited. */
  ping(): void {
    if (this.#pingedAt !== null || !this.ready) return;
    this.#pingedAt = performance.now();
    this.#cpuAtPing = cpuMs(this.pid);
    this.#send({ kind: 'ping' });
  }

  /** Lets it exit by itself. */
  dismiss(): void {
    this.#send({ kind: 'close' });
  }

  kill(reason: KillReason): void {
    this.killReason ??= reason;
    this.retired = true;
    this.#process.kill();
  }

  #onFrame({ header, body }: Frame<FromHost>): void {
    switch (header.kind) {
      case 'ready':
        this.#becomeReady();
        return;
      case 'broken':
        this.broken = header.message;
        this.kill('unstartable');
        return;
      case 'pong':
        this.#onPong();
        return;
      case 'begun':
        for (const id of header.ids) this.runs.get(id)?.begin();
        return;
      default:
        this.#onRunFrame(header, body);
    }
  }

  #onPong(): void {
    const askedAt = this.#pingedAt ?? 0;
    this.#pingedAt = null;
    for (const run of this.runs.values()) {
      if (run.abandonedAt !== null && run.abandonedAt <= askedAt) run.hasYielded = true;
    }
    // A run that ended after this ping has not shown yet that it lets its host answer.
    const isOwed = [...this.runs.values()].some((run) => run.abandonedAt !== null && !run.hasYielded);
    if (isOwed) this.ping();
  }

  #onRunFrame(header: Extract<FromHost, { id: number }>, body: string): void {
    const run = this.runs.get(header.id);
    if (run === undefined) return;
    switch (header.kind) {
      case 'log':
        if (run.abandonedAt === null) run.call.context.log[header.level](header.message, header.fields ?? {});
        return;
      case 'beat':
        run.call.attempt.beat();
        return;
      case 'evaluate':
        this.#reply(header.call, run, () => run.call.context.evaluate(valueIn(body)));
        return;
      case 'turn':
        this.#reply(header.call, run, async () => {
          await run.call.context.keepTurn(header.number, valueIn(body) as JsonObject);
          return null;
        });
        return;
      case 'script': {
        const { call, code, timeoutMs, memoryBytes } = header;
        const limits = { timeoutMs, memoryBytes };
        this.#reply(call, run, () => run.runScript(call, code, valueIn(body), limits));
        return;
      }
      case 'abort-call':
        run.scripts.get(header.call)?.abort(new StepFailure('aborted', 'The script was aborted.'));
        return;
      default:
        this.runs.delete(run.id);
        run.endScripts();
        run.settle(header, body);
        this.#options.onSettled(this);
    }
  }

  async #reply(call: number, run: HostedRun, ask: () => Json | Promise<Json>): Promise<void> {
    try {
      const { text, special } = encodeValues([await ask()]);
      this.#write(encodeFrame({ kind: 'reply', call, special, failure: null } satisfies ToHost, text));
    } catch (error) {
      this.#send({ kind: 'reply', call, special: false, failure: replyFailure(error) });
    }
    run.scripts.delete(call);
  }

  #becomeReady(): void {
    const { memoryLimit } = this.#options;
    const used = memoryLimit === null ? null : memoryBytes(this.pid);
    this.#memoryAtStart = used?.resident ?? 0;
    // The check once per tick may be too late for a handler that takes memory fast.
    if (used !== null && existsSync(PRLIMIT)) {
      const limit = `--data=${used.data + memoryLimit!}`;
      spawn(PRLIMIT, ['--pid', String(this.pid), limit, '--core=0'], { stdio: 'ignore' }).on(
        'error',
        () => {},
      );
    }
    this.ready = true;
    this.#options.onReady(this);
  }

  #send(message: ToHost): void {
    this.#write(encodeFrame(message));
  }

  /** Frames of one turn are sent together. */
  #write(frame: Buffer): void {
    this.#outgoing.push(frame);
    if (this.#outgoing.length > 1) return;
    queueMicrotask(() => {
      const frames = this.#outgoing;
      this.#outgoing = [];
      this.#process.write(frames);
    });
  }
}

function valueIn(body: string): Json {
  return readResults(body, true)[0] as Json;
}

function replyFailure(error: unknown): WireFailure {
  if (error instanceof StepFailure) return wireFailure(error, error.details);
  const known = error instanceof ExpressionError;
  const code = known ? error.code : 'handler_failed';
  const retryable = !known || error.code === 'sandbox_unavailable';
  return wireFailure(new StepFailure(code, messageOf(error), { retryable }), null);
}
