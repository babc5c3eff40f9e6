/**
 * Divides the ready steps of scopes between this engine and the others, before any of them is claimed: a step that two
 * engines reach for costs one of them its commit.
 *
 * Steps that this engine keeps wait in its memory, and their ticket comes later: no other engine sees it as long as this one
 * lives and goes on. The others have a ticket alone, which is due at once: an engine that has nothing else takes it, and that
 * may be this one.
 */
import type { ReadyBy } from '../../door/capacity.ts';

/** After this time without the end of any of them, steps that were left to others may lie there with nobody to take them. */
const LYING_MS = 2_000;

export class OwnSteps {
  readonly #capacity: number;
  readonly #hasPeers: () => boolean;
  /** Ids of those that wait in memory. */
  readonly #kept = new Set<string>();
  /** Left to others and not over yet, about: ends that others fold are not known here. */
  #given = 0;
  /** When one of them has last ended, or the first was left, by `now`. */
  #heardAt = 0;
  readonly #now: () => number;

  /**
   * @param capacity steps that an engine runs at a time: this one, and about each of the others
   * @param now milliseconds of a clock that never goes back
   */
  constructor(capacity: number, hasPeers: () => boolean, now: () => number = () => performance.now()) {
    this.#capacity = capacity;
    this.#hasPeers = hasPeers;
    this.#now = now;
  }

  /**
   * Returns whether this engine keeps a step: those that may begin now, and those that follow once the others have as many as
   * one of them can run. A step that comes in place of one of theirs is theirs. @param free steps that may begin now
   */
  mayKeep(stepId: string, free: number, by: ReadyBy): boolean {
    if (by === 'loaded' || !this.#hasPeers()) return true;
    if (by === 'ends elsewhere') this.#given = Math.max(0, this.#given - 1);
    if (by === 'ends elsewhere' || this.#given === 0) this.#heardAt = this.#now();
    const follow = by === 'here' && this.#given >= this.#capacity ? this.#capacity : 0;
    const isKept = this.#kept.size < free + follow;
    if (isKept) this.#kept.add(stepId);
    else this.#given += 1;
    return isKept;
  }

  /** Returns how many steps this engine takes back from the queue although it has others: nobody seems to take them. */
  get lying(): number {
    const isLying = this.#given > 0 && this.#now() - this.#heardAt >= LYING_MS;
    return isLying ? Math.min(this.#given, this.#capacity) : 0;
  }

  /** A look has taken back what it found. */
  tookBack(): void {
    this.#given = 0;
  }

  has(stepId: string): boolean {
    return this.#kept.has(stepId);
  }

  /** The step waits in memory no more. */
  remove(stepId: string): void {
    this.#kept.delete(stepId);
  }
}
