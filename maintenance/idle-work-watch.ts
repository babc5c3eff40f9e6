/**
 * Reports ready work that no live engine can run, as sentences for the health of an engine.
 *
 * Invariant: health waits for this check for a moment only. When a look takes longer, the result before it is shown.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { visibleText } from '../core/text/visible.ts';
import type { Pool } from '../db/connection/client.ts';
import { findWorkForNobody, type WorkForNobody } from '../db/ready-work.ts';

/** How old a result may be when it is shown. */
const LOOK_AGAIN_MS = 3_000;
const MAX_WAIT_MS = 1_000;
/** A restarted engine is back within this time. */
const GRACE_SECONDS = 10;

export class IdleWorkWatch {
  readonly #find: () => Promise<WorkForNobody>;
  readonly #now: () => number;
  #warnings: readonly string[] = [];
  #lookedAt = Number.NEGATIVE_INFINITY;
  #looking: Promise<void> | null = null;

  constructor(find: () => Promise<WorkForNobody>, now: () => number = () => performance.now()) {
    this.#find = find;
    this.#now = now;
  }

  /** Looks anew when the last result is old. */
  async warnings(): Promise<readonly string[]> {
    if (this.#now() - this.#lookedAt > LOOK_AGAIN_MS)
      this.#looking ??= this.#look().finally(() => {
        this.#looking = null;
      });
    if (this.#looking !== null) {
      const over = new AbortController();
      const wait = delay(MAX_WAIT_MS, undefined, { signal: over.signal, ref: false }).catch(() => {});
      await Promise.race([this.#looking, wait]);
      over.abort();
    }
    return this.#warnings;
  }

  async #look(): Promise<void> {
    try {
      this.#warnings = sentences(await this.#find());
    } catch {
      // Health itself reports an unreachable database.
      this.#warnings = [];
    }
    this.#lookedAt = this.#now();
  }
}

/** Returns a watch over a database. */
export function watchIdleWork(pool: Pool, jobTables: string): IdleWorkWatch {
  return new IdleWorkWatch(() => findWorkForNobody(pool, jobTables, GRACE_SECONDS));
}

function sentences({ engines, steps, executions }: WorkForNobody): string[] {
  const waiting = steps.reduce((sum, { count }) => sum + count, 0);
  if (engines === 0)
    return waiting + executions.length === 0
      ? []
      : [
          'No living engine runs steps, and there is work. Start one with EXECUTION_ENGINE_ROLE all or worker.',
        ];
  const advice = 'Start an engine that has them (EXECUTION_ENGINE_STEPS), or stop the executions.';
  return [
    ...steps.map(
      ({ type, count }) =>
        `No living engine has the step type "${visibleText(type)}", which ${count} ready steps need. ${advice}`,
    ),
    ...executions.map(({ template, missing, count }) => {
      const lacks = missing.length === 0 ? '' : ` (nobody has ${missing.map(visibleText).join(', ')})`;
      return `No living engine has all step types of template "${visibleText(template)}"${lacks}: ${count} executions wait in line. ${advice}`;
    }),
  ];
}
