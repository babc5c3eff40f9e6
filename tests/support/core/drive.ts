/**
 * Drives one execution through the core in a random order and holds every commit against the oracle.
 *
 * Several events go into one `transition`; stale and repeated events are thrown in; ready steps are claimed
 * within the plan or later; calm drives end as `playOut` says whatever the order, wild ones are also timed
 * out, paused, stopped and cancelled.
 */
import assert from 'node:assert/strict';
import type { Event } from '../../../core/event.ts';
import { compileGraph, type Graph } from '../../../core/graph.ts';
import { isFinalExecution, isFinalStep } from '../../../core/status.ts';
import type { Template } from '../../../core/template.ts';
import { claimWithin, transition } from '../../../core/transition.ts';
import { type ExecutionView, emptyView, type StepState } from '../../../core/view.ts';
import { CommitChecks } from './commit-checks.ts';
import type { ExecutionFact, Fact, StepFact } from './facts.ts';
import { MemoryStore } from './memory-store.ts';
import { Oracle } from './oracle.ts';
import { type Performance, performances, type StepScript } from './scripts.ts';
import { Luck } from './seeded-random.ts';
import { stepEvent } from './step-event.ts';

export interface DriveOptions {
  seed: number;
  /** Steps that run at once. */
  capacity: number;
  /** Timeouts, pauses, stops and cancels as well. */
  wild: boolean;
  /** Is shown the view after each commit; changes nothing. */
  look?: (view: ExecutionView) => void;
}

/** An event, and the fact that it tells the oracle; null: its claim is stale, so it must be late. */
interface Told {
  event: Event;
  fact: Fact | null;
}

const OWNERS = ['engine-1', 'engine-2'] as const;
const MAX_ROUNDS = 5000;

const FIRST_POSITION = 1_000_000;

export class Drive {
  readonly graph: Graph;
  readonly view: ExecutionView;
  readonly oracle: Oracle;
  readonly store: MemoryStore;
  readonly checks: CommitChecks;
  readonly #luck: Luck;
  readonly #options: DriveOptions;
  readonly #acting: Map<string, Performance>;
  readonly #past: Event[] = [];
  /** Results of attempts whose step has lost a race meanwhile. */
  readonly #latecomers: Told[] = [];
  #ids = 0;

  constructor(template: Template, scripts: readonly StepScript[], options: DriveOptions) {
    // Steps of a scope have positions of their own: whoever takes one for a slot finds nothing there.
    this.graph = compileGraph(template, FIRST_POSITION);
    this.view = emptyView('execution', this.graph);
    this.oracle = new Oracle(template);
    this.store = new MemoryStore('execution');
    this.checks = new CommitChecks(template, this.view, this.store);
    this.#luck = new Luck(options.seed, 12);
    this.#options = options;
    this.#acting = performances(template, scripts);
  }

  /** To the end of the execution, and a few late events beyond it. */
  run(): void {
    if (this.#options.wild && this.#luck.chance(0.02)) this.#commit([this.#told({ fact: 'reject' })]);
    if (this.#options.wild && this.#luck.chance(0.02)) this.#commit([this.#told({ fact: 'stop' })]);
    if (this.#options.wild && this.#luck.chance(0.05))
      this.#commit([
        this.#told({ fact: 'pause' }),
        this.#told({ fact: 'begin' }),
        this.#told({ fact: 'resume' }),
      ]);
    this.#commit([this.#told({ fact: 'begin' })]);
    for (let round = 0; !isFinalExecution(this.view.status); round++) {
      assert(round < MAX_ROUNDS, 'the execution does not end');
      this.#round();
    }
    this.#commit([this.#told({ fact: 'begin' }), this.#told({ fact: 'cancel' }), ...this.#stale(3)]);
    this.checks.checkEnd();
  }

  #round(): void {
    if (this.#options.wild) this.#disturb();
    const open = this.#shuffled(this.view.steps.filter((state) => state !== undefined));
    const most = 1 + this.#luck.below(4);
    const batch: Told[] = [];
    for (const state of open) {
      if (batch.length >= most) break;
      const fact = this.#nextFact(state, batch);
      if (fact === null) continue;
      batch.push(this.#told(fact));
      if (fact.fact === 'claimed' && this.#luck.chance(0.3))
        batch.push(this.#afterClaim(state, batch.at(-1)!.event));
    }
    if (this.#options.wild && this.#luck.chance(0.03)) batch.push(this.#told(this.#endingFact()));
    if (this.#luck.chance(0.2)) batch.push(...this.#stale(2));
    if (this.#luck.chance(0.3)) batch.push(...this.#latecomers.splice(0, 1));
    if (batch.length > 0 && this.#luck.chance(0.1))
      batch.push(repeated(batch[this.#luck.below(batch.length)]!));
    this.#commit(batch);
  }

  /** Pauses and resumes, also where there is nothing to pause or resume. */
  #disturb(): void {
    const isPaused = this.view.status === 'paused';
    if (!this.#luck.chance(isPaused ? 0.3 : 0.03)) return;
    const fact = isPaused === this.#luck.chance(0.9) ? 'resume' : 'pause';
    this.#commit([this.#told({ fact })]);
    if (isPaused) this.store.dropTickets();
  }

  #endingFact(): ExecutionFact {
    const facts = ['stop', 'stop', 'stop', 'stop overdue', 'cancel', 'time out', 'reject', 'begin'] as const;
    return { fact: facts[this.#luck.below(facts.length)]! };
  }

  #nextFact(state: StepState, batch: readonly Told[]): StepFact | null {
    const { key } = this.graph.steps[state.slot]!;
    if (state.status === 'queued' && state.parked && this.#options.wild && this.#luck.mishap(0.1)) {
      return { fact: 'timed out', key };
    }
    if (state.status === 'queued') {
      const claims = batch.filter(({ event }) => event.type === 'claim').length;
      return this.#running() + claims < this.#options.capacity ? { fact: 'claimed', key } : null;
    }
    if (state.status === 'retrying') return { fact: 'retry due', key };
    if (state.status === 'waiting') {
      return this.#options.wild ? this.#endOfWait(key) : { fact: 'resumed', key };
    }
    if (state.status !== 'running') return null;
    if (state.parked && this.#options.wild && this.#luck.mishap(0.05)) {
      return { fact: 'failed', key, retryable: false, begun: false };
    }
    if (this.#luck.mishap(0.1)) return { fact: this.#luck.chance(0.5) ? 'released' : 'lost', key };
    return this.#acting.get(key)!.next(key);
  }

  #endOfWait(key: string): StepFact {
    if (this.#luck.mishap(0.3)) return { fact: 'timed out', key };
    if (this.#luck.mishap(0.2)) return { fact: 'answered', key };
    if (this.#luck.mishap(0.1)) return { fact: 'refused', key, retryable: this.#luck.chance(0.5) };
    if (this.#luck.mishap(0.1)) return { fact: 'task claimed', key };
    if (this.#luck.mishap(0.1)) return { fact: 'worker lost', key, losses: this.#luck.below(3) };
    return { fact: 'resumed', key };
  }

  /** What a step claimed in this very batch tells, under the claim it is going to have. */
  #afterClaim({ slot, parked, attempt }: StepState, claim: Event): Told {
    assert(claim.type === 'claim');
    const { key } = this.graph.steps[slot]!;
    const fact = this.#luck.mishap(0.3)
      ? ({ fact: 'released', key } as const)
      : this.#acting.get(key)!.next(key);
    const event = this.#stepEvent(fact);
    assert('claim' in event);
    const held = { attempt: parked ? attempt : attempt + 1, owner: claim.owner };
    return { event: { ...event, claim: held }, fact };
  }

  /** One transition with what is claimed within it, held against the oracle and written. */
  #commit(batch: readonly Told[]): void {
    this.checks.before();
    this.oracle.nextCommit();
    const events = batch.map(({ event }) => event);
    const results = this.view.steps.flatMap((state) =>
      state?.status === 'running' ? this.#result(state) : [],
    );
    const plan = transition(this.view, events, () => `step-${this.#ids++}`);
    const news = batch.map(({ fact }) => fact !== null && this.#tell(fact));
    const late = events.filter((_, at) => !news[at]);
    assert.deepEqual(plan.late, late, 'the late events');
    this.#past.push(...events);
    this.#latecomers.push(...results.filter(({ slot }) => this.view.steps[slot]!.lost));
    this.checks.checkPlan(
      plan,
      events.filter((_, at) => news[at]),
    );
    for (const slot of [...plan.ready]) {
      if (this.#running() >= this.#options.capacity || this.#luck.chance(0.4)) break;
      const claimed = claimWithin(plan, slot, this.#owner());
      assert.equal(claimed, this.#tell({ fact: 'claimed', key: this.graph.steps[slot]!.key }));
    }
    this.store.apply(plan);
    this.checks.after(plan, this.oracle.verdict);
    this.#options.look?.(this.view);
  }

  /** The result of a step that runs now. */
  #result(state: StepState): Told & { slot: number } {
    const { slot } = state;
    const fact = { fact: 'completed', key: this.graph.steps[slot]!.key, routes: null } as const;
    return { slot, event: this.#stepEvent(fact), fact };
  }

  #tell(fact: Fact): boolean {
    const isNews = this.oracle.tell(fact);
    if (isNews && 'key' in fact) this.#acting.get(fact.key)!.advance(fact);
    return isNews;
  }

  #told(fact: Fact): Told {
    return { event: 'key' in fact ? this.#stepEvent(fact) : this.#executionEvent(fact), fact };
  }

  #executionEvent({ fact }: ExecutionFact): Event {
    switch (fact) {
      case 'begin':
      case 'cancel':
      case 'stop':
        return fact === 'begin' ? { type: fact } : { type: fact, reason: null };
      case 'stop overdue':
        return { type: 'stop_overdue' };
      case 'time out':
        return { type: 'time_out' };
      case 'reject':
        return { type: 'reject', code: 'invalid_inputs', message: 'The inputs do not match.' };
      case 'pause':
      case 'resume':
        return { type: fact, by: null };
      case 'undo':
        throw new Error(`${fact} is no event`);
    }
  }

  #stepEvent(fact: StepFact): Event {
    const state = this.view.steps.find((each) => this.graph.steps[each?.slot ?? -1]?.key === fact.key)!;
    const random = this.#luck.random();
    return stepEvent(fact, state, { owner: fact.fact === 'claimed' ? this.#owner() : '', random });
  }

  /** Events of claims and timers that no longer hold: repeated from the past, or made up. */
  #stale(count: number): Told[] {
    const stale: Told[] = [];
    for (let at = 0; at < count && this.#past.length > 0; at++) {
      const old = this.#past[this.#luck.below(this.#past.length)]!;
      const event = 'claim' in old && this.#luck.chance(0.3) ? madeUp(old) : old;
      if (this.#isStale(event)) stale.push({ event, fact: null });
    }
    return stale;
  }

  /** Only what cannot hold whatever the rest of its batch does: anything else is the oracle's to judge. */
  #isStale(event: Event): boolean {
    if (isFinalExecution(this.view.status)) return true;
    if (event.type === 'claim') return isFinalStep(this.view.steps[event.slot]!.status);
    if (!('slot' in event)) return event.type === 'begin' || event.type === 'reject';
    const { status, attempt, owner, sequence } = this.view.steps[event.slot]!;
    if ('claim' in event) {
      return status !== 'queued' && (event.claim.attempt !== attempt || event.claim.owner !== owner);
    }
    if (event.type === 'step_time_out') return event.retries < this.view.steps[event.slot]!.retries;
    if (event.type === 'force') return isFinalStep(status);
    if (
      event.type === 'close_incident' ||
      event.type === 'scopes_ended' ||
      event.type === 'scopes_undone' ||
      event.type === 'child_ended'
    )
      return false;
    if (event.attempt < attempt || event.sequence !== sequence) return true;
    if (event.type !== 'wake') return false;
    return event.purpose === 'timeout' && status === 'retrying';
  }

  #owner(): string {
    return OWNERS[this.#luck.below(OWNERS.length)]!;
  }

  #running(): number {
    return this.view.steps.filter((state) => state?.status === 'running').length;
  }

  #shuffled<T>(list: readonly T[]): T[] {
    return list
      .map((item) => ({ item, place: this.#luck.random() }))
      .sort((a, b) => a.place - b.place)
      .map(({ item }) => item);
  }
}

/** Said twice. What keeps the step waiting names the wait, which is another one after the first time. */
function repeated(told: Told): Told {
  const fact = told.fact?.fact;
  return fact === 'task claimed' || fact === 'worker lost' ? { ...told, fact: null } : told;
}

function madeUp<T extends Extract<Event, { claim: unknown }>>(event: T): T {
  return { ...event, claim: { ...event.claim, owner: 'engine-nobody' } };
}
