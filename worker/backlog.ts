/**
 * The backlog: pending executions that wait because there was no room for them. While there are any, new
 * executions wait behind them, and free capacity goes to the oldest.
 */
import type { CommitSubscriber } from '../door/commit-subscriber.ts';
import { type DecidedUnit, linesUp } from '../door/unit.ts';

export interface BacklogOptions {
  /** Returns the number of executions that may begin here now. */
  room(): number;
  /** Returns whether a workspace has no step waiting for capacity. */
  isUnserved(workspaceId: string | null): boolean;
  /** Looks for executions that may begin. */
  look(): void;
  /** After this time, free capacity that the executions in progress may need is given to others. */
  readonly patienceMs: number;
}

export class Backlog implements CommitSubscriber {
  readonly #options: BacklogOptions;
  #isWaiting = false;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(options: BacklogOptions) {
    this.#options = options;
  }

  /** Returns whether executions are waiting, as far as this process knows. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  /** Records whether the last look left executions waiting. */
  seen(isWaiting: boolean): void {
    this.#isWaiting = isWaiting;
  }

  committed(units: readonly DecidedUnit[]): void {
    const { room, isUnserved, look } = this.#options;
    const lined = units.filter(linesUp);
    if (lined.length > 0) this.#isWaiting = true;
    if (lined.some(({ loaded }) => isUnserved(loaded.facts.workspaceId))) look();
    if (!this.#isWaiting) return;
    if (room() > 0) look();
    else this.#lookLater();
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  /** Even in a long backlog, workspaces without a waiting step get a place. */
  #lookLater(): void {
    const { look, patienceMs } = this.#options;
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      look();
    }, patienceMs + 1);
  }
}
