/**
 * Undoes a start: keeps how to undo each part, and does so in reverse order when a later part fails, when the start
 * is cancelled, and when the engine stops. All parts are undone, even when undoing one of them fails.
 */
export class Undo {
  readonly #stack = new AsyncDisposableStack();

  /** @throws GivenUp when everything was undone meanwhile; this part is then undone at once */
  async add(undo: () => Promise<unknown> | unknown): Promise<void> {
    const undoing = async () => {
      await undo();
    };
    if (!this.#stack.disposed) this.#stack.defer(undoing);
    else {
      await undoing();
      throw new GivenUp();
    }
  }

  /** Safe to call twice; the second call returns at once. */
  run(): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

/** Thrown when the start was cancelled because the engine is to stop. */
export class GivenUp extends Error {
  constructor() {
    super('The start was given up.');
    this.name = 'GivenUp';
  }
}
