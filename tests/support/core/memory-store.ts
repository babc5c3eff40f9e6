/**
 * A database in memory that applies plans of one execution the way the store must: guarded rows, a tracker
 * with its unique constraint, jobs written and consumed with the rows.
 *
 * It refuses (throws) wherever a guarded statement would touch no row or a constraint would fail, so a
 * plan that two writers could not agree on fails the test that made it.
 */
import assert from 'node:assert/strict';
import { changesHold } from '../../../core/hold/held-back.ts';
import type { StepJob, TrackedInput } from '../../../core/invariants.ts';
import { plannedJobs, readyQueue } from '../../../core/jobs.ts';
import type { Plan, StepChange } from '../../../core/plan.ts';
import { isFinalExecution, isFinalStep } from '../../../core/status.ts';
import { type ExecutionRow, type ExecutionView, loadView, type StepRow } from '../../../core/view.ts';

type Writable<T> = { -readonly [K in keyof T]: T[K] };

export class MemoryStore {
  readonly execution: Writable<ExecutionRow>;
  readonly steps = new Map<string, StepRow>();
  readonly #tracker = new Map<string, TrackedInput>();
  readonly #tickets = new Map<string, StepJob>();

  constructor(id: string) {
    this.execution = { id, status: 'pending', sequence: 0, stopRequested: null, failure: null, due: null };
  }

  get jobs(): StepJob[] {
    return [...this.#tickets.values()];
  }

  get inputs(): TrackedInput[] {
    return [...this.#tracker.values()];
  }

  /** The view a process that knows nothing would load. */
  load({ graph, scope }: Pick<ExecutionView, 'graph' | 'scope'>): ExecutionView {
    return loadView(this.execution, graph, [...this.steps.values()], scope);
  }

  /** Whoever fetches the ticket of a paused execution drops it. */
  dropTickets(): void {
    if (this.execution.status !== 'paused') return;
    for (const [name, { stepId }] of this.#tickets)
      if (this.steps.get(stepId)!.status === 'queued') this.#tickets.delete(name);
  }

  apply(plan: Plan): void {
    if (!plan.changed) {
      assert.equal(plan.steps.size + plan.inputs.length, 0, 'an unchanged plan has something to write');
      return;
    }
    const { view, fromStatus, fromSequence } = plan;
    assert.equal(this.execution.status, fromStatus);
    assert.equal(this.execution.sequence, fromSequence);
    assert(!isFinalExecution(fromStatus), `a plan leaves the final status ${fromStatus}`);
    const { status, sequence, stopRequested, failure, due } = view;
    const { pause } = view;
    Object.assign(this.execution, { status, sequence, stopRequested, failure, due, pause });
    for (const change of plan.steps.values()) this.#writeStep(change);
    for (const slot of plan.scopes?.counted ?? []) this.count(view, slot);
    for (const { target, producer, live } of plan.inputs) this.#track(target.id, producer.id, live);
    this.#moveJobs(plan);
  }

  /** Writes the numbers of a step's scopes. */
  count({ steps }: ExecutionView, slot: number): void {
    const { id, held } = steps[slot]!;
    this.steps.get(id)!.held = structuredClone(held);
  }

  #writeStep({ state, from }: StepChange): void {
    const { id, position, status, attempt, retries, crashes, owner, sequence, parked, routes } = state;
    const { hasDeadline, hasTimer, lost } = state;
    assert.equal(sequence, this.execution.sequence, `step ${id} was changed by another transition`);
    const row = this.steps.get(id);
    if (from === null) {
      assert.equal(row, undefined, `step row ${id} is inserted twice`);
      const taken = [...this.steps.values()].some((other) => other.position === position);
      assert(!taken, `position ${position} has two rows`);
    } else {
      assert(row !== undefined, `step row ${id} is updated before it is inserted`);
      const { status: was, attempt: attempted, owner: owned } = row;
      assert.deepEqual(
        {
          status: was,
          attempt: attempted,
          owner: owned,
          hasDeadline: row.hasDeadline,
          hasTimer: row.hasTimer,
        },
        from,
      );
      assert(!isFinalStep(from.status), `step row ${id} leaves ${from.status}`);
    }
    this.steps.set(id, {
      id,
      position,
      status,
      attempt,
      retries,
      crashes,
      owner,
      sequence,
      parked,
      routes,
      hasDeadline,
      hasTimer,
      lost,
      held: row?.held ?? null,
    });
  }

  #track(stepId: string, fromStepId: string, live: boolean): void {
    const pair = `${fromStepId} ${stepId}`;
    assert(!this.#tracker.has(pair), `input ${pair} is recorded twice`);
    assert(this.steps.has(stepId) && this.steps.has(fromStepId), `input ${pair} points at a missing row`);
    this.#tracker.set(pair, { stepId, fromStepId, live });
  }

  /** What was held back gets its tickets again. */
  addTickets({ graph, steps }: ExecutionView): void {
    for (const state of steps) {
      if (state?.status !== 'queued') continue;
      const queue = readyQueue(graph, state.slot);
      this.#tickets.set(`${queue} ${state.id}`, { queue, stepId: state.id });
    }
  }

  #moveJobs(plan: Plan): void {
    const { add, remove } = plannedJobs(plan);
    for (const { queue, change } of remove) {
      const removed = this.#tickets.delete(`${queue} ${change.state.id}`);
      const isDropped = plan.fromStatus === 'paused' && change.from?.status === 'queued';
      assert(removed || isDropped, `job ${queue} ${change.state.id} is not there to be removed`);
    }
    for (const { queue, change } of add) {
      const name = `${queue} ${change.state.id}`;
      assert(!this.#tickets.has(name), `job ${name} is added twice`);
      const isTimer = queue === 'WorkflowExecutionQueue';
      assert.equal(change.timer !== null, isTimer, `job ${name} has the timer ${change.timer?.afterMs}`);
      this.#tickets.set(name, { queue, stepId: change.state.id });
    }
    if (changesHold(plan) && plan.view.status === 'running') this.addTickets(plan.view);
  }
}
