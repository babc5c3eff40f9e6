/**
 * Turns of the starts with one idempotency key: at most one of this process inserts at a time.
 *
 * An insert waits in the database while another transaction holds its key, and holds up a connection that commits. Many
 * clients that repeat one such start would take the connection from the starts with other keys.
 */
export class KeyTurns {
  readonly #taken = new Map<string, Promise<void>>();

  /** Returns the function that ends the turn. Null: one of the keys is taken. */
  take(keys: ReadonlySet<string>): (() => void) | null {
    for (const key of keys) if (this.#taken.has(key)) return null;
    const { promise, resolve } = Promise.withResolvers<void>();
    for (const key of keys) this.#taken.set(key, promise);
    return () => {
      for (const key of keys) this.#taken.delete(key);
      resolve();
    };
  }

  /** Resolves when the turns that now have the keys are over, or the time is. */
  async wait(keys: ReadonlySet<string>, ms: number): Promise<void> {
    const turns = new Set([...keys].flatMap((key) => this.#taken.get(key) ?? []));
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    await Promise.race([Promise.all(turns), promise]);
    clearTimeout(timer);
  }
}
