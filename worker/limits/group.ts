/**
 * The steps of this process that share their limits, in order, and how many of them may ask at a time.
 *
 * Not here: asking (asker.ts).
 *
 * Invariant: `outstanding` counts the members that left the queue and neither began nor came back.
 */
import { ReadyQueue } from '../../core/fairness/ready-queue.ts';
import type { SharedLimit } from '../../core/limits/step-limit.ts';
import { type LimitedStep, placeOf } from './limited-step.ts';
import { RunningSteps } from './running-steps.ts';

/** Most members that ask at a time: more would hold places of this process for answers that are mostly negative. */
const MAX_OUTSTANDING = 64;
/** Entries of removed members after which the queue is rebuilt. */
const MAX_GONE = 64;

export class LimitGroup {
  readonly id: string;
  /** The limits' ids: one or two. */
  readonly limitIds: readonly string[];
  /** The concurrency limit of its latest member; null: it has only a rate. */
  concurrency: SharedLimit | null = null;
  readonly #running: RunningSteps;
  /** Most members outstanding: the limit of its latest member, within bounds. */
  limit = 1;
  outstanding = 0;
  /** Whether a check is due when the rate's window is over. */
  isAwaited = false;
  #blocked = false;
  #changes = 0;
  #probes = 0;
  #line = new ReadyQueue<LimitedStep>();
  #held = 0;

  constructor(id: string, limitIds: readonly string[], running: RunningSteps) {
    this.id = id;
    this.limitIds = limitIds;
    this.#running = running;
  }

  /** Number of members held back. */
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

  /** A held member is gone; its entry is skipped later. */
  forgetHeld(): void {
    this.#held -= 1;
  }

  /** Counts changes that may have freed something: an answer reflects the state when its question was asked. */
  get changes(): number {
    return this.#changes;
  }

  /** The answer was negative: no member asks until something changes, which may have happened since `askedAt`. */
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

  /** Returns the next member that may ask; it counts as outstanding from then on. Null: none may. */
  next(): LimitedStep | null {
    if (this.outstanding >= this.limit || this.#isUsedUp) return null;
    if (this.#blocked && this.#probes === 0) return null;
    for (let entry = this.#line.pop(); entry !== undefined; entry = this.#line.pop()) {
      const step = entry.item;
      if (step.removed || step.stage !== 'held') continue;
      this.#held -= 1;
      if (this.#blocked) this.#probes -= 1;
      this.outstanding += 1;
      // A removal from now on reduces the outstanding members, not the queue.
      step.stage = 'ready';
      return step;
    }
    return null;
  }

  /** Whether this process alone runs, or is about to run, as many steps as the limit allows: the answer would be no. */
  get #isUsedUp(): boolean {
    if (this.concurrency === null) return false;
    const { id, limit } = this.concurrency;
    return this.#running.count(id) + this.outstanding >= limit;
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
  readonly running = new RunningSteps();

  get size(): number {
    return this.#groups.size;
  }

  all(): Iterable<LimitGroup> {
    return this.#groups.values();
  }

  /** Returns null when the step has no group, or its group is gone. */
  of({ groupId }: LimitedStep): LimitGroup | null {
    return groupId === null ? null : (this.#groups.get(groupId) ?? null);
  }

  /** Returns the groups with at least one of the limits. */
  sharing(limitIds: readonly string[]): Set<LimitGroup> {
    return new Set(limitIds.flatMap((id) => [...(this.#byLimit.get(id) ?? [])]));
  }

  /** Adds the step to the group of its limits, held. */
  join(step: LimitedStep, limitIds: readonly string[]): LimitGroup {
    const id = limitIds.join(' ');
    const group = this.#groups.get(id) ?? this.#make(id, limitIds);
    const { concurrency, rate } = step;
    group.concurrency = concurrency;
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
    const group = new LimitGroup(id, limitIds, this.running);
    this.#groups.set(id, group);
    for (const limitId of limitIds) {
      const sharing = this.#byLimit.get(limitId) ?? new Set();
      this.#byLimit.set(limitId, sharing.add(group));
    }
    return group;
  }
}
