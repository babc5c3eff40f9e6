/**
 * A time span of an attempt, which can be paused, with a callback when it is used up.
 */

/** The most setTimeout takes: 2^31 - 1 ms. */
const LONGEST_TIMER_MS = 2_147_483_647;

export class Countdown {
  readonly #ms: number;
  readonly #onOver: (lateMs: number) => void;
  #leftMs: number;
  #runs = false;
  /** Start of the current run, of performance.now(). */
  #since = 0;
  /** Null: paused, or over. */
  #timer: ReturnType<typeof setTimeout> | null = null;

  /** Paused until `resume`. @param onOver is called each time it is used up */
  constructor(ms: number, onOver: (lateMs: number) => void) {
    this.#ms = ms;
    this.#leftMs = ms;
    this.#onOver = onOver;
  }

  get isOver(): boolean {
    return this.#runs && this.#timer === null;
  }

  get leftMs(): number {
    return this.#timer === null ? this.#leftMs : this.#leftMs - (performance.now() - this.#since);
  }

  pause(): void {
    if (this.#timer !== null) this.#stop();
    this.#runs = false;
  }

  resume(): void {
    if (this.#runs) return;
    this.#runs = true;
    this.#start();
  }

  /** Limits the time left. */
  limit(ms: number): void {
    const ran = this.#timer !== null;
    if (ran) this.#stop();
    this.#leftMs = Math.min(this.#leftMs, ms);
    if (ran) this.#start();
  }

  /** Restores the whole span. A paused one stays paused. */
  renew(): void {
    if (this.#timer !== null) this.#stop();
    this.#leftMs = this.#ms;
    if (this.#runs) this.#start();
  }

  #start(): void {
    this.#since = performance.now();
    const ms = Math.max(0, Math.min(this.#leftMs, LONGEST_TIMER_MS));
    this.#timer = setTimeout(() => {
      this.#stop();
      if (this.#leftMs >= 1) this.#start();
      else this.#onOver(-this.#leftMs);
    }, ms);
  }

  #stop(): void {
    clearTimeout(this.#timer!);
    this.#timer = null;
    this.#leftMs -= performance.now() - this.#since;
  }
}
