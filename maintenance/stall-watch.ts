/**
 * Detects a stall: work is due and heartbeats succeed, but the loop that should take the work does not run.
 *
 * Checked after each heartbeat that the database answered, and counted in those: an unavailable database, a frozen
 * process or a clock jump is no stall. Steps that are held back (limits, pauses, no free capacity) are no stall either:
 * a loop that looks and finds nothing to take has made a turn.
 *
 * Not here: the reaction. Health reports the stall; the operator restarts the engine, and peers take its work.
 */

export interface WatchedLoop {
  /** The stalled work in words: "Work is due, but ...". */
  readonly stuck: string;
  /** Number of turns so far. */
  turns(): number;
  /** Returns whether it should be turning. @param jobsAreDue seen by the heartbeat */
  hasWork(jobsAreDue: boolean): boolean;
  /** Triggers a turn, since work that was taken meanwhile proves nothing about the loop. */
  nudge(): void;
}

/** A round is a second: longer than any wait for a lock, short enough to make a restart worthwhile. */
const STUCK_ROUNDS = 10;

interface Seen {
  readonly loop: WatchedLoop;
  turns: number;
  /** Rounds in a row with work and without a turn. */
  rounds: number;
}

export class StallWatch {
  readonly #seen: readonly Seen[];

  constructor(loops: readonly WatchedLoop[]) {
    this.#seen = loops.map((loop) => ({ loop, turns: loop.turns(), rounds: 0 }));
  }

  /** Records an answered heartbeat. */
  round(jobsAreDue: boolean): void {
    for (const seen of this.#seen) {
      const { loop } = seen;
      const turns = loop.turns();
      const hasTurned = turns !== seen.turns;
      seen.turns = turns;
      if (hasTurned) seen.rounds = 0;
      else if (isStuck(seen)) loop.nudge();
      else seen.rounds = loop.hasWork(jobsAreDue) ? seen.rounds + 1 : 0;
    }
  }

  /** Returns the stalled work in words; null: none. */
  get stall(): string | null {
    const stuck = this.#seen.find(isStuck);
    return stuck === undefined || stuck.loop.turns() !== stuck.turns ? null : stuck.loop.stuck;
  }
}

function isStuck({ rounds }: Seen): boolean {
  return rounds >= STUCK_ROUNDS;
}
