/**
 * Work in batches: items that come while a batch is under way make up the next one. A single item waits for nothing.
 */
export interface GatheredOptions<T, R> {
  /** Does a batch. Returns a result for each item, in their order; an error is the error of each. */
  readonly work: (items: readonly T[]) => Promise<readonly R[]>;
  readonly maxItems: number;
  /** The most that the sizes of a batch add up to; a single item may be larger. */
  readonly maxSize: number;
  readonly sizeOf: (item: T) => number;
}

interface Waiting<T, R> {
  readonly item: T;
  readonly resolve: (result: R) => void;
  readonly reject: (error: unknown) => void;
}

export class Gathered<T, R> {
  readonly #options: GatheredOptions<T, R>;
  #waiting: Waiting<T, R>[] = [];
  #isWorking = false;

  constructor(options: GatheredOptions<T, R>) {
    this.#options = options;
  }

  /** Returns the item's result. @throws what its batch throws */
  add(item: T): Promise<R> {
    const { promise, resolve, reject } = Promise.withResolvers<R>();
    this.#waiting.push({ item, resolve, reject });
    if (!this.#isWorking) void this.#work();
    return promise;
  }

  async #work(): Promise<void> {
    this.#isWorking = true;
    while (this.#waiting.length > 0) await this.#workBatch(this.#takeBatch());
    this.#isWorking = false;
  }

  async #workBatch(batch: readonly Waiting<T, R>[]): Promise<void> {
    try {
      const results = await this.#options.work(batch.map(({ item }) => item));
      for (const [at, { resolve }] of batch.entries()) resolve(results[at]!);
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }

  #takeBatch(): readonly Waiting<T, R>[] {
    const { maxItems, maxSize, sizeOf } = this.#options;
    let size = 0;
    let count = 0;
    for (const { item } of this.#waiting) {
      size += sizeOf(item);
      if (count > 0 && (count === maxItems || size > maxSize)) break;
      count += 1;
    }
    return this.#waiting.splice(0, count);
  }
}
