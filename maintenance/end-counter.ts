/**
 * Counts the ends of executions, for `GET /admin/stats`.
 *
 * One engine counts at a time, in short transactions: each takes some ends that are not counted yet, and writes the counts with
 * them added. Executions wait for none of it: their commits only note that they have ended (db/stats/ended.ts).
 */
import { addNumbers, countEnds, type EndCount, keyText } from '../core/stats/end-counts.ts';
import { KEPT_SECONDS } from '../core/stats/spans.ts';
import type { Pool, Tx } from '../db/connection/client.ts';
import type { DatabaseFeatures } from '../db/connection/features.ts';
import { transact } from '../db/connection/transact.ts';
import { deleteOldCounts, readCounts, writeCounts } from '../db/stats/end-counts.ts';
import { hasUncounted, lockCounting, takeEnds } from '../db/stats/ended.ts';
import { inSlices } from '../process/in-slices.ts';
import { Periodic } from '../process/periodic.ts';

export interface EndCounterOptions {
  readonly pool: Pool;
  readonly features: Pick<DatabaseFeatures, 'advisoryLocks'>;
  onError(error: unknown): void;
}

/** Counts may be 10 s old. */
const INTERVAL_MS = 4_000;
/** Each adds to up to sixteen counters. */
const ENDS_AT_ONCE = 500;
/** Rounds between two in which old counts are deleted: an hour. */
const ROUNDS_UNTIL_FORGOTTEN = 900;
/** Of one round, so that the engine can stop. */
const MAX_TRANSACTIONS = 200;

/** Thrown when another engine is counting: this one has nothing to do. */
class CountedElsewhere extends Error {}

export class EndCounter {
  readonly #options: EndCounterOptions;
  readonly #rounds: Periodic;
  #open = true;
  #round = 0;

  constructor(options: EndCounterOptions) {
    this.#options = options;
    const { onError } = options;
    this.#rounds = new Periodic({ tick: () => this.#countAndForget(), intervalMs: INTERVAL_MS, onError });
  }

  start(): void {
    this.#rounds.start(INTERVAL_MS);
  }

  /** Stops after the current transaction. */
  async close(): Promise<void> {
    this.#open = false;
    await this.#rounds.close();
  }

  async #countAndForget(): Promise<void> {
    await this.tick();
    this.#round += 1;
    if (this.#round % ROUNDS_UNTIL_FORGOTTEN === 0) await this.forget();
  }

  /** Deletes counts of short spans that are long ago. */
  async forget(): Promise<void> {
    for (const [width, seconds] of KEPT_SECONDS) await deleteOldCounts(this.#options.pool, width, seconds);
  }

  /** Counts what has ended. Returns how many ends it has counted. */
  async tick(): Promise<number> {
    const { pool } = this.#options;
    let total = 0;
    for (let turn = 0; turn < MAX_TRANSACTIONS && this.#open; turn += 1) {
      if (turn === 0 && !(await hasUncounted(pool))) break;
      const counted = await this.#countSome();
      total += counted;
      if (counted < ENDS_AT_ONCE) break;
    }
    return total;
  }

  async #countSome(): Promise<number> {
    const { pool, features } = this.#options;
    try {
      return await transact(pool, async (tx) => {
        if (!(await lockCounting(tx, features))) throw new CountedElsewhere();
        const ended = await takeEnds(tx, ENDS_AT_ONCE);
        await addCounts(tx, await inSlices(countEnds(ended, Date.now())));
        return ended.length;
      });
    } catch (error) {
      if (error instanceof CountedElsewhere) return 0;
      throw error;
    }
  }
}

async function addCounts(tx: Tx, counts: readonly EndCount[]): Promise<void> {
  if (counts.length === 0) return;
  const before = await readCounts(tx, counts);
  for (const count of counts) {
    const known = before.get(keyText(count));
    if (known !== undefined) addNumbers(count.numbers, known);
  }
  await writeCounts(tx, counts);
}
