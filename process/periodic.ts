/**
 * Runs rounds of work: the next round begins a pause after the last has ended, successfully or not.
 */
export interface PeriodicOptions {
  tick(): Promise<unknown>;
  readonly intervalMs: number;
  /** Pause after a failed round; default: the same. */
  readonly afterFailureMs?: number;
  onError(error: unknown): void;
}

export class Periodic {
  readonly #options: PeriodicOptions;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #round: Promise<void> = Promise.resolve();
  #open = true;

  constructor(options: PeriodicOptions) {
    this.#options = options;
  }

  /** Begins the first round at once, or after a pause. */
  start(afterMs = 0): void {
    if (afterMs === 0) this.#begin();
    else this.#timer = setTimeout(() => this.#begin(), afterMs);
  }

  /** Ends the pause, if there is one. */
  hurry(): void {
    if (this.#timer === null) return;
    clearTimeout(this.#timer);
    this.#begin();
  }

  /** Begins no further round. Resolves when the current one has ended. */
  async close(): Promise<void> {
    this.#open = false;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#round;
  }

  #begin(): void {
    this.#timer = null;
    this.#round = this.#next();
  }

  async #next(): Promise<void> {
    if (!this.#open) return;
    const { tick, intervalMs, afterFailureMs = intervalMs, onError } = this.#options;
    let pauseMs = intervalMs;
    try {
      await tick();
    } catch (error) {
      pauseMs = afterFailureMs;
      onError(error);
    }
    if (this.#open) this.#timer = setTimeout(() => this.#begin(), pauseMs);
  }
}
