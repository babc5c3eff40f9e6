/**
 * The pipelined connections for commits: one transaction at a time on each.
 *
 * Two lanes overlap: while the database works on one commit the engine prepares the next. A broken lane is
 * reconnected when it is next needed.
 */

import { GUARD_FAILED, type Statement } from '../statement.ts';
import { connectPipeline, type Pipeline } from './client.ts';
import { isConnectionError, type SessionOptions } from './session.ts';

export class Lane {
  readonly #url: string;
  readonly #options: SessionOptions;
  #pipeline: Promise<Pipeline> | null = null;
  busy = false;
  #answers = 0;
  #failures = 0;

  constructor(url: string, options: SessionOptions) {
    this.#url = url;
    this.#options = options;
  }

  /** Number of transactions that the database answered, including lost races. */
  get answers(): number {
    return this.#answers;
  }

  /** Number of transactions that the database could not process. */
  get failures(): number {
    return this.#failures;
  }

  /** Commits all statements or none. Throws the first error; after a connection error the outcome is unknown. */
  async transaction(statements: readonly Statement[]): Promise<void> {
    try {
      const pipeline = await this.#connect();
      await pipeline.transaction(statements);
      this.#answers += 1;
    } catch (error) {
      if (isAnswer(error)) this.#answers += 1;
      else this.#failures += 1;
      throw error;
    }
  }

  async close(): Promise<void> {
    const pipeline = await this.#pipeline?.catch(() => null);
    await pipeline?.close();
  }

  async #connect(): Promise<Pipeline> {
    const current = await this.#pipeline?.catch(() => null);
    if (current?.usable) return current;
    this.#pipeline = connectPipeline(this.#url, this.#options);
    return this.#pipeline;
  }
}

/**
 * Returns whether an error is an answer of a working database, such as a lost race. A broken connection is not, nor
 * is a lack of disk space, memory or connections (SQLSTATE class 53).
 */
export function isAnswer(error: unknown): boolean {
  return !isConnectionError(error) && !String((error as { code?: unknown } | null)?.code).startsWith('53');
}

/** SQLSTATEs: guard, deadlock, serialization, lock timeout. */
const CONTENDED: ReadonlySet<unknown> = new Set([GUARD_FAILED, '40P01', '40001', '55P03']);

/** Returns whether another transaction was in the way: nothing was written, and a retry may succeed now. */
export function isContended(error: unknown): boolean {
  return CONTENDED.has((error as { code?: unknown } | null)?.code);
}
