/**
 * A measured process, seen from the parent: starts it, asks it, reads its CPU time, ends it.
 *
 * Invariant: no measured process outlives the benchmark (the channel's end ends it).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Answer, Description, Ran, Request, Subject, Workload } from './protocol.ts';

export interface Launch {
  /** Relative to this folder. */
  readonly script: string;
  readonly args?: readonly string[];
  /** The program that runs it; this process's own Bun when left out. */
  readonly runtime?: string;
  readonly env: Readonly<Record<string, string>>;
}

const STOP_MS = 15_000;
/** Cells take seconds: a process that needs longer hangs. */
const ANSWER_MS = 90_000;
const LAST_WORDS = 4_000;

type Call = Request extends infer R ? (R extends Request ? Omit<R, 'id'> : never) : never;

export class SubjectProcess implements Subject {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  readonly #ended: Promise<void>;
  #nextId = 0;
  #output = '';

  constructor(launch: Launch) {
    const script = fileURLToPath(new URL(launch.script, import.meta.url));
    this.#child = spawn(launch.runtime ?? process.execPath, [script, ...(launch.args ?? [])], {
      env: { ...process.env, ...launch.env },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      serialization: 'json',
    });
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      stream.on('data', (text: Buffer) => {
        this.#output = (this.#output + text.toString()).slice(-LAST_WORDS);
      });
    }
    this.#child.on('message', (answer) => this.#settle(answer as Answer));
    this.#ended = new Promise((resolve) => {
      this.#child.once('exit', (code, signal) => {
        this.#failAll(new Error(`${launch.script} ended (${code ?? signal}):\n${this.#output}`));
        resolve();
      });
    });
    this.#child.once('error', (error) => this.#failAll(error));
  }

  /** Rejects when the process has ended: for a race with a wait that would then never end. */
  get gone(): Promise<never> {
    return this.#ended.then(() => {
      throw new Error(`The measured process has ended:\n${this.#output}`);
    });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  describe(): Promise<Description> {
    return this.#ask({ call: 'describe' }) as Promise<Description>;
  }

  run(workload: Workload, executions: number): Promise<Ran> {
    return this.#ask({ call: 'run', workload, executions }) as Promise<Ran>;
  }

  latency(workload: Workload, samples: number, seconds: number): Promise<number[]> {
    return this.#ask({ call: 'latency', workload, samples, seconds }) as Promise<number[]>;
  }

  collect(): Promise<void> {
    return this.#ask({ call: 'collect' }) as Promise<void>;
  }

  /** Asks it to stop; kills it when it takes too long, so that the next one measured has the machine alone. */
  async stop(): Promise<void> {
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS);
    await this.#ask({ call: 'stop' }).catch(() => this.#child.kill('SIGKILL'));
    await this.#ended;
    clearTimeout(timer);
  }

  #ask(call: Call): Promise<unknown> {
    const id = this.#nextId++;
    const answer = Promise.withResolvers<unknown>();
    this.#waiting.set(id, answer);
    const timer = setTimeout(() => {
      answer.reject(
        new Error(`No answer to ${JSON.stringify(call)} within ${ANSWER_MS} ms\n${this.#output}`),
      );
    }, ANSWER_MS);
    if (this.#child.exitCode !== null) answer.reject(new Error(`It has ended:\n${this.#output}`));
    else this.#child.send({ id, ...call });
    return answer.promise.finally(() => clearTimeout(timer));
  }

  #settle(answer: Answer): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if ('error' in answer) waiting?.reject(new Error(`${answer.error}\n${this.#output}`));
    else waiting?.resolve(answer.value);
  }

  #failAll(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
