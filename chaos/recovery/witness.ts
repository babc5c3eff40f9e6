/**
 * The HTTP server that the steps of a recovery run call at the beginning of every attempt; it answers when the attempt
 * is to end.
 *
 * It listens on a Unix socket, which no fault of a network reaches: an engine that is cut off can still be watched.
 *
 * Invariant: `calls` has every call in the order in which they came, at the time at which they came.
 */
import { createServer, request, type Server, type ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Announcement {
  /** The engine's name. */
  readonly engine: string;
  readonly executionId: string;
  readonly stepId: string;
  readonly attempt: number;
  /** How long the attempt takes: when it is answered. */
  readonly holdMs: number;
}

export interface Call extends Announcement {
  /** Of performance.now() of the script. */
  readonly at: number;
}

const LOOK_MS = 20;

export class RecoveryWitness {
  readonly calls: Call[] = [];
  readonly socket: string;
  readonly #server: Server;
  /** Not answered yet. */
  readonly #open = new Set<Call>();
  readonly #byStep = new Map<string, Call[]>();

  private constructor(socket: string) {
    this.socket = socket;
    this.#server = createServer((asked, answer) => {
      const chunks: Buffer[] = [];
      asked.on('data', (chunk: Buffer) => chunks.push(chunk));
      asked.on('end', () => this.#note(JSON.parse(Buffer.concat(chunks).toString()) as Announcement, answer));
    });
  }

  static async listen(socket: string): Promise<RecoveryWitness> {
    const witness = new RecoveryWitness(socket);
    await new Promise<void>((resolve) => witness.#server.listen(socket, resolve));
    return witness;
  }

  /** Attempts of an engine, or of all of them, that have called and are not to end yet. */
  running(engine: string | null = null): Call[] {
    return [...this.#open].filter((call) => engine === null || call.engine === engine);
  }

  /** For each call the first one of a later attempt of its step; null: there was none in that time. */
  async seenAgain(calls: readonly Call[], withinMs: number): Promise<(Call | null)[]> {
    const until = performance.now() + withinMs;
    const again = () => calls.map((call) => this.#nextOf(call));
    while (again().includes(null) && performance.now() < until) await sleep(LOOK_MS);
    return again();
  }

  /** In the order of their attempts. */
  get steps(): ReadonlyMap<string, readonly Call[]> {
    for (const calls of this.#byStep.values()) calls.sort((a, b) => a.attempt - b.attempt || a.at - b.at);
    return this.#byStep;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #nextOf({ stepId, attempt }: Call): Call | null {
    return this.#byStep.get(stepId)?.find((other) => other.attempt > attempt) ?? null;
  }

  #note(announcement: Announcement, answer: ServerResponse): void {
    const call: Call = { ...announcement, at: performance.now() };
    this.calls.push(call);
    const its = this.#byStep.get(call.stepId);
    if (its === undefined) this.#byStep.set(call.stepId, [call]);
    else its.push(call);
    this.#open.add(call);
    const timer = setTimeout(() => answer.end(), call.holdMs);
    // Also when the caller is gone.
    answer.on('close', () => {
      clearTimeout(timer);
      this.#open.delete(call);
    });
    setTimeout(() => this.#open.delete(call), call.holdMs);
  }
}

/** Calls the witness; resolves when it answers. Throws the error of the connection, or the signal's reason. */
export async function callWitness(
  socketPath: string,
  announcement: Announcement,
  signal: AbortSignal,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const asking = request({ socketPath, path: '/', method: 'POST', agent: false, signal }, (answer) => {
    answer.resume();
    answer.on('end', resolve);
    answer.on('error', reject);
  });
  asking.on('error', reject);
  asking.end(JSON.stringify(announcement));
  await promise;
}
