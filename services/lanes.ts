/**
 * The pipelined connections commits go through: one transaction at a time on each.
 *
 * Two lanes overlap: while the database works on one commit the engine prepares the next. A lane that breaks
 * is connected again when it is next needed.
 */
import { connectPipeline, type Pipeline } from '../db/client.ts';
import type { SessionOptions } from '../db/session.ts';
import type { Statement } from '../db/statement.ts';

export class Lane {
  readonly #url: string;
  readonly #options: SessionOptions;
  #pipeline: Promise<Pipeline> | null = null;
  busy = false;

  constructor(url: string, options: SessionOptions) {
    this.#url = url;
    this.#options = options;
  }

  /** All or nothing. Throws the first error; after a connection error the outcome is unknown. */
  async transaction(statements: readonly Statement[]): Promise<void> {
    const pipeline = await this.#connect();
    await pipeline.transaction(statements);
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
