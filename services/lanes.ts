/**
 * The pipelined connections commits go through: one transaction at a time on each.
 *
 * Two lanes overlap: while the database works on one commit the engine prepares the next. A lane that breaks
 * is connected again when it is next needed.
 */
import { connectPipeline, type Pipeline } from '../db/client.ts';
import type { SessionOptions } from '../db/session.ts';
import type { Statement } from '../db/statement.ts';

/**
 * Plans must not depend on statistics, which are stale right after a burst: every statement of the hot path
 * goes by index, in the order of its arrays.
 */
const PLANNER = `set enable_hashjoin = off; set enable_mergejoin = off; set enable_seqscan = off;
  set plan_cache_mode = force_generic_plan; set jit = off`;

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
    this.#pipeline = this.#open();
    return this.#pipeline;
  }

  async #open(): Promise<Pipeline> {
    const pipeline = await connectPipeline(this.#url, this.#options);
    await pipeline.query(PLANNER);
    return pipeline;
  }
}
