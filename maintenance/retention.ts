/**
 * Removes executions that have been final for longer than `EXECUTION_ENGINE_RETENTION`.
 *
 * Of several engines one sweeps at a time. A sweep is made of short transactions with a pause as long as each took,
 * so that it has no more than half of one session, and starts keep their pace. `sweep()` is public and does one whole
 * round; the loop only calls it.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Pool, Tx } from '../db/connection/client.ts';
import type { DatabaseRoute } from '../db/connection/features.ts';
import { transact } from '../db/connection/transact.ts';
import {
  beginSweep,
  deleteEdges,
  deleteSteps,
  lockRetention,
  makeRetentionIndex,
  markDue,
  type Sweep,
} from '../db/retention.ts';

export interface RetentionOptions {
  /** The index is made on a connection of its own. */
  readonly route: DatabaseRoute;
  readonly engineId: string;
  /** Statements by index, and one connection: nothing here is in a hurry. */
  readonly pool: Pool;
  /** The qualified name of pg-boss's job table. */
  readonly jobTable: string;
  readonly retentionMs: number;
  /** Between two transactions, in milliseconds; default: waits. */
  pause?(ms: number): Promise<void>;
  onRemoved(count: number): void;
  /** An execution cannot be deleted, as when a table of somebody else's refers to it. It is not tried again here. */
  onUndeletable(executionId: string, error: unknown): void;
  onError(error: unknown): void;
}

const INTERVAL_MS = 60_000;
const SHORTEST_PAUSE_MS = 10;
const LONGEST_PAUSE_MS = 2_000;
/** Who had begun to read an execution before it was marked has read it by then. */
const READERS_MS = 100;

const FIRST = '00000000-0000-0000-0000-000000000000';
const LAST = 'ffffffff-ffff-ffff-ffff-ffffffffffff';
/** No UUIDv7 is this large before the year 2109; an execution that somebody else made may have any id. */
const BEYOND_TIME = '04000000-0000-0000-0000-000000000000';

const MAX_UNDELETABLE = 1_000;

/** SQLSTATEs by which other people's constraints and triggers refuse: class 23, and what `raise` gives. */
function isRefused(error: unknown): boolean {
  return /^(23|P0001$)/.test(String((error as { code?: unknown }).code));
}

/** Another engine sweeps: this one has nothing to do. */
class SweptElsewhere extends Error {}

export class Retention {
  readonly #options: RetentionOptions;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #sweeping: Promise<unknown> = Promise.resolve();
  readonly #closing = new AbortController();
  /** Executions that could not be deleted while this process was there. */
  readonly #undeletable = new Set<string>();

  constructor(options: RetentionOptions) {
    this.#options = options;
  }

  /** Sweeps now and once a minute. */
  start(): void {
    const round = async () => {
      this.#sweeping = this.sweep().catch(this.#options.onError);
      await this.#sweeping;
      if (!this.#closing.signal.aborted) this.#timer = setTimeout(round, INTERVAL_MS);
    };
    round();
  }

  /** Ends after the transaction under way. */
  async close(): Promise<void> {
    this.#closing.abort();
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#sweeping;
  }

  /**
   * Removes everything that is due; answers how many executions. 0 as well when another engine is at it.
   * @throws what the database says; what was removed by then stays removed
   */
  async sweep(): Promise<number> {
    const { route, engineId, pool, retentionMs, jobTable } = this.#options;
    const { url, session } = route.long;
    if (!(await makeRetentionIndex(url, `engine/${engineId}/index`, session))) return 0;
    const begun = await beginSweep(pool, retentionMs, jobTable);
    const sweep = { ...begun, kept: [...begun.kept, ...this.#undeletable] };
    let count = 0;
    try {
      count += await this.#sweepRange(sweep, FIRST, sweep.idsBelow);
      count += await this.#sweepRange(sweep, BEYOND_TIME, LAST);
    } catch (error) {
      if (!(error instanceof SweptElsewhere)) throw error;
    }
    return count;
  }

  async #sweepRange(sweep: Sweep, first: string, below: string): Promise<number> {
    const { features } = this.#options.route;
    let count = 0;
    for (let after: string | null = first; after !== null && !this.#closing.signal.aborted; ) {
      const from: string = after;
      const { ids, next } = await this.#inTurn((tx) => markDue(tx, sweep, from, below, features));
      if (ids.length > 0) count += await this.#remove(ids);
      after = next;
    }
    return count;
  }

  /** What cannot be deleted keeps no other: it is found by halves. */
  async #remove(ids: readonly string[]): Promise<number> {
    try {
      return await this.#removeTogether(ids);
    } catch (error) {
      if (!isRefused(error) || this.#undeletable.size >= MAX_UNDELETABLE) throw error;
      if (ids.length > 1) {
        const middle = ids.length >> 1;
        return (await this.#remove(ids.slice(0, middle))) + (await this.#remove(ids.slice(middle)));
      }
      this.#undeletable.add(ids[0]!);
      this.#options.onUndeletable(ids[0]!, error);
      return 0;
    }
  }

  /** What is left when the engine stops is found marked by the next sweep. */
  async #removeTogether(ids: readonly string[]): Promise<number> {
    const { signal } = this.#closing;
    const { features } = this.#options.route;
    await this.#pause(READERS_MS);
    while (!signal.aborted && (await this.#inTurn((tx) => deleteEdges(tx, ids))));
    while (!signal.aborted) {
      const removed = await this.#inTurn((tx) => deleteSteps(tx, ids, features));
      if (removed === null) continue;
      this.#options.onRemoved(removed);
      return removed;
    }
    return 0;
  }

  async #inTurn<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    const begunAt = performance.now();
    const { pool, route } = this.#options;
    const sweeping = async (tx: Tx) => {
      if (!(await lockRetention(tx, route.features))) throw new SweptElsewhere();
      return work(tx);
    };
    const result = await transact(pool, sweeping, this.#closing.signal);
    const tookMs = performance.now() - begunAt;
    await this.#pause(Math.min(LONGEST_PAUSE_MS, Math.max(SHORTEST_PAUSE_MS, tookMs)));
    return result;
  }

  async #pause(ms: number): Promise<void> {
    const { pause } = this.#options;
    if (pause !== undefined) return pause(ms);
    await delay(ms, undefined, { signal: this.#closing.signal }).catch(() => {});
  }
}
