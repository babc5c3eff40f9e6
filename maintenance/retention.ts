/**
 * Removes executions that have been final for longer than `EXECUTION_ENGINE_RETENTION`.
 *
 * One engine sweeps at a time. A sweep consists of short transactions with a pause as long as each took,
 * so that it uses at most half of one session, and starts are not slowed down. `sweep()` is public and runs one whole
 * round; the loop only calls it.
 */

import { setTimeout as delay } from 'node:timers/promises';
import type { Pool, Tx } from '../db/connection/client.ts';
import type { DatabaseRoute } from '../db/connection/features.ts';
import { transact } from '../db/connection/transact.ts';
import {
  beginSweep,
  deleteParts,
  deleteSteps,
  lockRetention,
  makeRetentionIndex,
  markDue,
  type Sweep,
} from '../db/retention.ts';
import { Periodic } from '../process/periodic.ts';

export interface RetentionOptions {
  /** Route for a connection of its own, on which the index is built. */
  readonly route: DatabaseRoute;
  readonly engineId: string;
  /** One connection, with statements by index: this work is not urgent. */
  readonly pool: Pool;
  /** The qualified name of pg-boss's job table. */
  readonly jobTable: string;
  readonly retentionMs: number;
  /** Waits between two transactions, in milliseconds; default: a timer. */
  pause?(ms: number): Promise<void>;
  onRemoved(count: number): void;
  /**
   * An execution cannot be deleted, for example because a foreign table refers to it. This process does not retry it.
   */
  onUndeletable(executionId: string, error: unknown): void;
  onError(error: unknown): void;
}

const INTERVAL_MS = 60_000;
const SHORTEST_PAUSE_MS = 10;
const LONGEST_PAUSE_MS = 2_000;
/** Grace for readers that started before the mark. */
const READERS_MS = 100;

const FIRST = '00000000-0000-0000-0000-000000000000';
const LAST = 'ffffffff-ffff-ffff-ffff-ffffffffffff';
/** Larger than every UUIDv7 before the year 2109; an execution made outside the engine may have any id. */
const BEYOND_TIME = '04000000-0000-0000-0000-000000000000';

const MAX_UNDELETABLE = 1_000;

/** Matches SQLSTATEs of foreign constraints and triggers: class 23, and that of `raise`. */
function isRefused(error: unknown): boolean {
  return /^(23|P0001$)/.test(String((error as { code?: unknown }).code));
}

/** Thrown when another engine is sweeping: this one has nothing to do. */
class SweptElsewhere extends Error {}

export class Retention {
  readonly #options: RetentionOptions;
  readonly #rounds: Periodic;
  readonly #closing = new AbortController();
  /** Executions that could not be deleted since this process started. */
  readonly #undeletable = new Set<string>();

  constructor(options: RetentionOptions) {
    this.#options = options;
    const { onError } = options;
    this.#rounds = new Periodic({ tick: () => this.sweep(), intervalMs: INTERVAL_MS, onError });
  }

  /** Sweeps now and once a minute. */
  start(): void {
    this.#rounds.start();
  }

  /** Stops after the current transaction. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#rounds.close();
  }

  /**
   * Removes all due executions; returns how many. Also returns 0 when another engine is sweeping.
   * @throws errors of the database; executions removed by then stay removed
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

  /** An execution that cannot be deleted must not block others: it is found by bisection. */
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

  /** The next sweep finds the marks of executions left when the engine stops. */
  async #removeTogether(ids: readonly string[]): Promise<number> {
    const { signal } = this.#closing;
    const { features } = this.#options.route;
    await this.#pause(READERS_MS);
    while (!signal.aborted && (await this.#inTurn((tx) => deleteParts(tx, ids))));
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
