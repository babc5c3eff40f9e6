/**
 * The steps of this process that share their limits, in order, and how many of them may ask at a time.
 *
 * Not here: asking (limit-gate.ts).
 *
 * Invariant: `outstanding` counts the members that left the line and neither began nor came back.
 */
import { ReadyQueue } from '../../core/fairness/ready-queue.ts';
import { type LimitedStep, placeOf } from './limited-step.ts';

/** Members that ask at a time: more would hold slots of this process for an answer that is mostly no. */
const MAX_OUTSTANDING = 64;
/** Entries of members that are gone, before the line is made anew. */
const MAX_GONE = 64;

export class LimitGroup {
  readonly id: string;
  /** The limits' ids: one or two. */
  readonly limitIds: readonly string[];
  /** How many may be outstanding: what its latest member says, within reason. */
  limit = 1;
  outstanding = 0;
  /** Whether a look is due when the rate's window is over. */
  isAwaited = false;
  #blocked = false;
  #changes = 0;
  #probes = 0;
  #line = new ReadyQueue<LimitedStep>();
  #held = 0;

  constructor(id: string, limitIds: readonly string[]) {
    this.id = id;
    this.limitIds = limitIds;
  }

  /** Members held back. */
  get heldCount(): number {
    return this.#held;
  }

  get isEmpty(): boolean {
    return this.#held === 0 && this.outstanding === 0;
  }

  hold(step: LimitedStep): void {
    step.stage = 'held';
    this.#line.push(placeOf(step, step));
    this.#held += 1;
    if (this.#line.size > 2 * this.#held + MAX_GONE) this.#makeAnew();
  }

  /** A member that was held is gone; its entry is passed over later. */
  forgetHeld(): void {
    this.#held -= 1;
  }

  /** Counts what may have freed something: an answer is about what was known when it was asked for. */
  get changes(): number {
    return this.#changes;
  }

  /** The answer was no: nobody asks until something has changed, which it may have since `askedAt`. */
  block(askedAt: number): void {
    this.#blocked = true;
    this.#probes = this.#changes > askedAt ? 1 : 0;
  }

  unblock(): void {
    this.#blocked = false;
  }

  /** Something may have changed: `count` more may ask again. */
  probe(count: number): void {
    this.#changes += 1;
    this.#probes = Math.min(this.limit, this.#probes + count);
  }

  /** The next member that may ask; it counts as outstanding from here on. Null: nobody may. */
  next(): LimitedStep | null {
    if (this.outstanding >= this.limit) return null;
    if (this.#blocked && this.#probes === 0) return null;
    for (let entry = this.#line.pop(); entry !== undefined; entry = this.#line.pop()) {
      const step = entry.item;
      if (step.removed || step.stage !== 'held') continue;
      this.#held -= 1;
      if (this.#blocked) this.#probes -= 1;
      this.outstanding += 1;
      // Whoever finds it gone now takes it from those outstanding, not from the line.
      step.stage = 'ready';
      return step;
    }
    return null;
  }

  #makeAnew(): void {
    const line = new ReadyQueue<LimitedStep>();
    for (let entry = this.#line.pop(); entry !== undefined; entry = this.#line.pop())
      if (!entry.item.removed && entry.item.stage === 'held') line.push(entry);
    this.#line = line;
  }
}

/** The groups of a process, by their limits. */
export class LimitGroups {
  readonly #groups = new Map<string, LimitGroup>();
  readonly #byLimit = new Map<string, Set<LimitGroup>>();

  get size(): number {
    return this.#groups.size;
  }

  all(): Iterable<LimitGroup> {
    return this.#groups.values();
  }

  /** Null when the step has none, or its group is gone. */
  of({ groupId }: LimitedStep): LimitGroup | null {
    return groupId === null ? null : (this.#groups.get(groupId) ?? null);
  }

  /** Those with at least one of the limits. */
  sharing(limitIds: readonly string[]): Set<LimitGroup> {
    return new Set(limitIds.flatMap((id) => [...(this.#byLimit.get(id) ?? [])]));
  }

  /** Puts the step into the group of its limits, held. */
  join(step: LimitedStep, limitIds: readonly string[]): LimitGroup {
    const id = limitIds.join(' ');
    const group = this.#groups.get(id) ?? this.#make(id, limitIds);
    const { concurrency, rate } = step;
    group.limit = Math.min(concurrency?.limit ?? MAX_OUTSTANDING, rate?.limit ?? MAX_OUTSTANDING);
    step.groupId = id;
    group.hold(step);
    return group;
  }

  delete({ id, limitIds }: LimitGroup): void {
    const group = this.#groups.get(id)!;
    this.#groups.delete(id);
    for (const limitId of limitIds) {
      const sharing = this.#byLimit.get(limitId)!;
      sharing.delete(group);
      if (sharing.size === 0) this.#byLimit.delete(limitId);
    }
  }

  #make(id: string, limitIds: readonly string[]): LimitGroup {
    const group = new LimitGroup(id, limitIds);
    this.#groups.set(id, group);
    for (const limitId of limitIds) {
      const sharing = this.#byLimit.get(limitId) ?? new Set();
      this.#byLimit.set(limitId, sharing.add(group));
    }
    return group;
  }
}
