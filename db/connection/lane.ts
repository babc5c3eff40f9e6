/**
 * The pipelined connections commits go through: one transaction at a time on each.
 *
 * Two lanes overlap: while the database works on one commit the engine prepares the next. A lane that breaks
 * is connected again when it is next needed.
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

  /** Transactions that were answered, if only to say that somebody else was faster. */
  get answers(): number {
    return this.#answers;
  }

  /** Transactions that the database could not take. */
  get failures(): number {
    return this.#failures;
  }

  /** All or nothing. Throws the first error; after a connection error the outcome is unknown. */
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
 * Whether an error is an answer of a database that works, as that somebody else was faster. A connection that broke is
 * none, and neither is a lack of room on the disk, of memory or of connections (SQLSTATE class 53).
 */
export function isAnswer(error: unknown): boolean {
  return !isConnectionError(error) && !String((error as { code?: unknown } | null)?.code).startsWith('53');
}

/** SQLSTATEs: guard, deadlock, serialization, lock timeout. */
const CONTENDED: ReadonlySet<unknown> = new Set([GUARD_FAILED, '40P01', '40001', '55P03']);

/** Whether another transaction was in the way: nothing was written, and the same may go through now. */
export function isContended(error: unknown): boolean {
  return CONTENDED.has((error as { code?: unknown } | null)?.code);
}
