/**
 * Reports ready work that no live engine can run, as sentences for the health of an engine.
 *
 * Invariant: health never waits for this check. It shows the last result, and a request starts a new check in the
 * background when the last one is old.
 */
import { visibleText } from '../core/text/visible.ts';
import type { Pool } from '../db/connection/client.ts';
import { findWorkForNobody, type WorkForNobody } from '../db/ready-work.ts';

const LOOK_AGAIN_MS = 10_000;
/** A restarted engine is back within this time. */
const GRACE_SECONDS = 10;

export class IdleWorkWatch {
  readonly #pool: Pool;
  readonly #jobTables: string;
  #warnings: readonly string[] = [];
  #lookedAt = Number.NEGATIVE_INFINITY;

  constructor(pool: Pool, jobTables: string) {
    this.#pool = pool;
    this.#jobTables = jobTables;
  }

  get warnings(): readonly string[] {
    const now = performance.now();
    if (now - this.#lookedAt > LOOK_AGAIN_MS) {
      this.#lookedAt = now;
      void this.#look();
    }
    return this.#warnings;
  }

  async #look(): Promise<void> {
    try {
      this.#warnings = sentences(await findWorkForNobody(this.#pool, this.#jobTables, GRACE_SECONDS));
    } catch {
      // Health itself reports an unreachable database.
      this.#warnings = [];
    }
  }
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
