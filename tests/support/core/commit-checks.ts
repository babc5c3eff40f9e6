/**
 * What must hold at every commit of a driven execution: the invariants, the plan's own promises, the view
 * rebuilt from rows, and the oracle's verdict.
 */
import assert from 'node:assert/strict';
import { undoesScopes } from '../../../core/compensation/compensation.ts';
import type { Event } from '../../../core/event.ts';
import { changesHold } from '../../../core/hold/held-back.ts';
import {
  findInInputs,
  findInJobs,
  findInSuccession,
  findInView,
  snapshot,
} from '../../../core/invariants.ts';
import type { Plan, StepChange } from '../../../core/plan.ts';
import { isFinalExecution } from '../../../core/status.ts';
import type { Template } from '../../../core/template.ts';
import type { ExecutionView } from '../../../core/view.ts';
import type { Verdict } from './facts.ts';
import type { MemoryStore } from './memory-store.ts';
import { naiveOrder } from './naive-order.ts';

const EDGE_WORDS = ['open', 'live', 'dead'] as const;

export class CommitChecks {
  readonly #order: readonly string[];
  readonly #view: ExecutionView;
  readonly #store: MemoryStore;
  readonly #decided = new Set<number>();
  #last: ReturnType<typeof snapshot>;

  constructor(template: Template, view: ExecutionView, store: MemoryStore) {
    this.#order = naiveOrder(template);
    this.#view = view;
    this.#store = store;
    this.#last = snapshot(view);
  }

  before(): void {
    this.#last = snapshot(this.#view);
  }

  /** The plan as `transition` answered it, before anything is claimed within it, and the events that were not late. */
  checkPlan(plan: Plan, accepted: readonly Event[]): void {
    const view = this.#view;
    const changes = [...plan.steps.values()];
    // Steps that were held back are ready when the execution goes on.
    const states = changesHold(plan) ? view.steps : changes.map(({ state }) => state);
    const readied = states.filter((state) => state?.status === 'queued' && view.status !== 'paused');
    const held = changes.filter(({ state }) => state.status === 'queued' && view.status === 'paused');
    const keys = [...readied, ...held.map(({ state }) => state)].map((state) => this.#key(state!.slot));
    const inOrder = keys.sort((a, b) => this.#order.indexOf(a) - this.#order.indexOf(b));
    assert.deepEqual(
      plan.ready.map((slot) => this.#key(slot)),
      inOrder,
      'ready, breadth-first',
    );
    for (const change of changes) this.#checkDecision(change);
    assert.equal(
      plan.begun,
      accepted.some(({ type }) => type === 'begin'),
      'begun',
    );
    assert.equal(
      plan.stopping,
      accepted.some(({ type }) => type === 'stop'),
      'stopping',
    );
    assert.equal(plan.end !== null, isFinalExecution(view.status) && plan.changed, 'an end is in the plan');
    if (plan.end !== null) assert.equal(plan.end.status, view.status);
    this.#checkAborted(plan, accepted);
  }

  /** What ran on when the execution was stopped or ended is aborted, and nothing else. */
  #checkAborted(plan: Plan, accepted: readonly Event[]): void {
    const aborted = new Set(plan.aborted.map(({ slot }) => slot));
    const spoken = new Set(accepted.map((event) => ('slot' in event ? event.slot : null)));
    for (const slot of this.#view.graph.steps.keys()) {
      if (spoken.has(slot)) continue;
      const isOver = plan.stopping || plan.compensating || this.#view.steps[slot]?.status === 'cancelled';
      const expected = this.#last.steps[slot] === 'running' && isOver;
      assert.equal(aborted.has(slot), expected, `${this.#key(slot)} is aborted`);
    }
  }

  /** A join is decided once, and `received` is what was resolved at that moment. */
  #checkDecision({ state, received }: StepChange): void {
    if (received === null) return;
    const { slot } = state;
    const key = this.#key(slot);
    assert(!this.#decided.has(slot), `the join of ${key} is decided twice`);
    this.#decided.add(slot);
    const { join, edges } = this.#view.graph.steps[slot]!;
    const live = received.filter((input) => input.live).length;
    const keys = edges.map(({ from }) => from).filter((from) => received.some((input) => input.key === from));
    assert.deepEqual(
      received.map((input) => input.key),
      keys,
      `inputs of ${key} in needs order`,
    );
    if (join === 'all') assert.equal(received.length, edges.length, `${key} waits for every edge`);
    else if (live < join)
      assert.equal(
        received.length - live,
        edges.length - join + 1,
        `${key} is skipped as soon as it must be`,
      );
    else assert.equal(live, edges.length === 0 ? 0 : join, `${key} starts as soon as it can`);
  }

  /** After the plan was written: nothing may be amiss, and the oracle must agree. */
  after(plan: Plan, verdict: Verdict): void {
    const view = this.#view;
    const store = this.#store;
    assert.deepEqual(
      [
        ...findInView(view),
        ...findInJobs(view, store.jobs),
        ...findInInputs(view, store.inputs),
        ...findInSuccession(this.#last, view, plan.changed),
      ],
      [],
    );
    assert.deepEqual(comparable(store.load(view)), comparable(view), 'the view rebuilt from rows');
    this.#compare(plan, verdict);
  }

  #compare(plan: Plan, verdict: Verdict): void {
    const view = this.#view;
    assert.equal(view.status, verdict.execution, 'the execution');
    const states = Object.fromEntries(
      view.graph.steps.map(({ key }, at) => [key, view.steps[at]?.status ?? 'absent']),
    );
    assert.deepEqual(states, verdict.steps, 'the steps');
    const undoing = view.steps.filter((state) => state !== undefined && undoesScopes(state));
    assert.deepEqual(
      undoing.map((state) => this.#key(state!.slot)),
      verdict.undoing === null ? [] : [verdict.undoing],
      'the steps whose scopes are undone',
    );
    const edges = Object.fromEntries(
      view.graph.steps.map(({ key }, at) => [
        key,
        view.graph.incoming[at]!.map(({ id }) => EDGE_WORDS[view.edges[id]!]),
      ]),
    );
    assert.deepEqual(edges, verdict.edges, 'the edges');
    for (const state of view.steps) {
      if (state === undefined) continue;
      const key = this.#key(state.slot);
      assert.equal(state.attempt, verdict.attempts[key], `attempts of ${key}`);
    }
    assert.equal(view.stopRequested !== null, verdict.stopRequested, 'stop requested');
    if (plan.end?.status === 'failed')
      assert.equal(plan.end.error?.step ?? null, verdict.error, 'first failure');
    if (plan.end?.status === 'completed') assert.equal(plan.end.error, null);
  }

  /** Executions that came to their end by themselves: every join was decided and every edge recorded. */
  checkEnd(): void {
    const view = this.#view;
    const store = this.#store;
    assert.equal(store.jobs.length, 0, 'no job is left');
    if (view.steps.some((state) => state?.status === 'cancelled' && !state.lost)) return;
    if (view.status !== 'completed' && view.status !== 'failed') return;
    const undecided = [...view.graph.steps.keys()].filter(
      (slot) => slot < view.graph.size && !this.#decided.has(slot),
    );
    const waiting = undecided.filter((slot) => !view.steps[slot]!.lost);
    assert.deepEqual(waiting, [], 'every join is decided, but for those of losers');
    assert.equal(store.inputs.length, view.graph.edges.length, 'every edge is recorded');
  }

  #key(slot: number): string {
    return this.#view.graph.steps[slot]!.key;
  }
}

/** A view without its graph, and with absent steps spelled out. */
function comparable({ graph: _, ...view }: ExecutionView): object {
  return { ...view, steps: Array.from(view.steps, (state) => state && { ...state }) };
}
