/**
 * The input of an execution and the outputs of its steps, kept in memory for the steps that follow.
 *
 * A cache: what is not there is read again. Who reads over an await holds on to what was found (payload-reader.ts);
 * while it does, others find it too: 100 steps that read the same outputs hold them once.
 */
import type { JsonPayload } from './json-payload.ts';

/** What all executions of a process keep together, in characters of JSON. */
export interface KeptTotal {
  length: number;
  readonly most: number;
  /** Lets go what is kept of executions that nothing happens to. */
  makeRoom(): void;
}

/** The place of the execution's own input, beside the slots of its steps. */
export const INPUT = -1;

export class KeptPayloads {
  readonly #total: KeptTotal;
  readonly #bySlot = new Map<number, JsonPayload>();
  #weak: Map<number, WeakRef<JsonPayload>> | null = null;
  #length = 0;
  #isOver = false;

  constructor(total: KeptTotal) {
    this.#total = total;
  }

  get(slot: number): JsonPayload | undefined {
    return this.#bySlot.get(slot) ?? this.#weak?.get(slot)?.deref();
  }

  /** Beyond the total, and when there is no room to be made, what is kept of this execution is let go. */
  set(slot: number, payload: JsonPayload): void {
    if (this.#isOver) return;
    this.#add(payload.json.length - (this.#bySlot.get(slot)?.json.length ?? 0));
    this.#bySlot.set(slot, payload);
    if (this.#total.length > this.#total.most) this.#total.makeRoom();
    if (this.#total.length > this.#total.most) this.letGo();
  }

  /** Others find it as long as somebody holds it. */
  letGo(): void {
    this.#weak ??= new Map();
    for (const [slot, payload] of this.#bySlot) this.#weak.set(slot, new WeakRef(payload));
    this.#clear();
  }

  /** The execution is forgotten: what is still being read of it is not kept. */
  end(): void {
    this.#isOver = true;
    this.#clear();
  }

  #clear(): void {
    this.#add(-this.#length);
    this.#bySlot.clear();
  }

  #add(length: number): void {
    this.#length += length;
    this.#total.length += length;
  }
}
