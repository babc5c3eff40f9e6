/**
 * Outputs of one execution, kept in memory for the steps that follow.
 *
 * A cache: what is not there is read again. Who reads over an await holds on to what was found (payload-reader.ts);
 * while it does, others find it too: 100 steps that read the same outputs hold them once.
 */
import type { JsonPayload } from './payload.ts';

/** What all executions of a process keep together, in characters of JSON. */
export interface KeptTotal {
  length: number;
  readonly most: number;
}

export class KeptOutputs {
  readonly #total: KeptTotal;
  readonly #byPosition = new Map<number, JsonPayload>();
  readonly #letGo = new Map<number, WeakRef<JsonPayload>>();
  #length = 0;

  constructor(total: KeptTotal) {
    this.#total = total;
  }

  get(position: number): JsonPayload | undefined {
    return this.#byPosition.get(position) ?? this.#letGo.get(position)?.deref();
  }

  /** Beyond the total, this execution's outputs are let go. */
  set(position: number, output: JsonPayload): void {
    this.#add(output.json.length - (this.#byPosition.get(position)?.json.length ?? 0));
    this.#byPosition.set(position, output);
    this.#letGo.delete(position);
    if (this.#total.length > this.#total.most) this.clear();
  }

  clear(): void {
    this.#add(-this.#length);
    for (const [position, output] of this.#byPosition) this.#letGo.set(position, new WeakRef(output));
    this.#byPosition.clear();
  }

  #add(length: number): void {
    this.#length += length;
    this.#total.length += length;
  }
}
