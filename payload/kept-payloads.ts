/**
 * The input of an execution and the outputs of its steps, kept in memory for the steps that follow.
 *
 * A cache: missing payloads are read again. A reader holds strong references to the payloads it found across awaits
 * (payload-reader.ts), and other readers then find them too: 100 steps that read the same outputs share one copy.
 */
import type { JsonPayload } from './json-payload.ts';

/** Characters of JSON cached by all executions of a process together. */
export interface KeptTotal {
  length: number;
  readonly most: number;
  /** Evicts payloads of idle executions. */
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

  /** Caches a payload. Demotes all payloads of this execution when the total is exceeded and no room can be made. */
  set(slot: number, payload: JsonPayload): void {
    if (this.#isOver) return;
    this.#add(payload.json.length - (this.#bySlot.get(slot)?.json.length ?? 0));
    this.#bySlot.set(slot, payload);
    if (this.#total.length > this.#total.most) this.#total.makeRoom();
    if (this.#total.length > this.#total.most) this.letGo();
  }

  /** Demotes to weak references: a payload can be found until its last reader drops it. */
  letGo(): void {
    this.#weak ??= new Map();
    for (const [slot, payload] of this.#bySlot) this.#weak.set(slot, new WeakRef(payload));
    this.#clear();
  }

  /** Forgets all: they are read again. */
  forget(): void {
    this.#weak = null;
    this.#clear();
  }

  /** Returns an empty cache in its place. */
  successor(): KeptPayloads {
    return new KeptPayloads(this.#total);
  }

  /** Clears the cache, and ignores payloads that are still being read. */
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
