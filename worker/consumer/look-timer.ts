/**
 * Timer of the next look: it fires at the soonest time requested, and once more at the last.
 */
export class LookTimer {
  readonly #onDue: () => void;
  #timer: ReturnType<typeof setTimeout> | null = null;
  /** Times of performance.now(). */
  #soonest = 0;
  #last = 0;

  constructor(onDue: () => void) {
    this.#onDue = onDue;
  }

  /** Requests a look after so many milliseconds. */
  in(afterMs: number): void {
    const at = performance.now() + afterMs;
    this.#last = Math.max(this.#last, at);
    if (this.#timer === null || at < this.#soonest) this.#set(at);
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #set(at: number): void {
    this.close();
    this.#soonest = at;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      if (this.#last > performance.now()) this.#set(this.#last);
      this.#onDue();
    }, at - performance.now());
  }
}
