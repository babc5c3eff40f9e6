/**
 * What a start has made so far, and how each part is undone: in reverse order, when a later part fails, when the start
 * is given up, and when the engine stops. All of it is undone, also when a part of that fails.
 */
export class Undo {
  readonly #stack = new AsyncDisposableStack();

  /** @throws GivenUp when everything was undone meanwhile; then this is undone at once */
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

  /** Safe to call twice; the second call waits for nothing. */
  run(): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

/** The start was given up because the engine is to stop. */
export class GivenUp extends Error {
  constructor() {
    super('The start was given up.');
    this.name = 'GivenUp';
  }
}
