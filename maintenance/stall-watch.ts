/**
 * Alive but stuck: there is work, the heart beats, and a loop that should take the work does not turn.
 *
 * Looked at after each heartbeat that the database answered, and counted in those: a database that is away, a frozen
 * process and a clock that jumps are no stall. Steps that are held back (limits, pauses, no free slot) are none either:
 * a loop that looks and finds nothing to take has turned.
 *
 * Not here: what to do about it. Health says it; whoever runs the engine restarts it, and others take the work.
 */

export interface WatchedLoop {
  /** What does not happen when it is stuck, for people: "Work is due, but ...". */
  readonly stuck: string;
  /** How often it has turned so far. */
  turns(): number;
  /** Whether it should turn. @param jobsAreDue what the heartbeat saw */
  hasWork(jobsAreDue: boolean): boolean;
  /** Lets it turn if it can: what took the work meanwhile is no proof that it works. */
  nudge(): void;
}

/** A round is a second: longer than any wait for a lock, short enough for a restart to be worth it. */
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

  /** A heartbeat was answered. */
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

  /** What does not happen although it should; null: everything turns. */
  get stall(): string | null {
    const stuck = this.#seen.find(isStuck);
    return stuck === undefined || stuck.loop.turns() !== stuck.turns ? null : stuck.loop.stuck;
  }
}

function isStuck({ rounds }: Seen): boolean {
  return rounds >= STUCK_ROUNDS;
}
