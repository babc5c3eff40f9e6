/**
 * The backlog: pending executions that wait in line because there was no room for them. While there are any, new
 * executions line up behind them, and room that comes free is for the oldest.
 */
import type { CommitSubscriber } from '../door/commit-subscriber.ts';
import { type DecidedUnit, isPending } from '../door/unit.ts';

export interface BacklogOptions {
  /** Executions that may begin here now. */
  room(): number;
  /** Whether a workspace has no step in the line for capacity. */
  isUnserved(workspaceId: string | null): boolean;
  /** Looks for executions that may begin. */
  look(): void;
  /** Free capacity is given to others after this time, although the executions under way may need it. */
  readonly patienceMs: number;
}

export class Backlog implements CommitSubscriber {
  readonly #options: BacklogOptions;
  #isWaiting = false;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(options: BacklogOptions) {
    this.#options = options;
  }

  /** Whether executions wait in line, as far as this process knows. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  /** A look at the line has shown whether executions are left in it. */
  seen(isWaiting: boolean): void {
    this.#isWaiting = isWaiting;
  }

  committed(units: readonly DecidedUnit[]): void {
    const { room, isUnserved, look } = this.#options;
    const lined = units.filter(isPending);
    if (lined.length > 0) this.#isWaiting = true;
    if (lined.some(({ loaded }) => isUnserved(loaded.facts.workspaceId))) look();
    if (!this.#isWaiting) return;
    if (room() > 0) look();
    else this.#lookLater();
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  /** A long line gets those workspaces in that are not served. */
  #lookLater(): void {
    const { look, patienceMs } = this.#options;
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      look();
    }, patienceMs + 1);
  }
}
