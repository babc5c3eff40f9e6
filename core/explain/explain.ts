/**
 * Decides why a step is not final: exactly one reason for each.
 *
 * With several, the first of: the stop, the pause, the incident, and then the reason of its own.
 */
import { isCompensation } from '../compensation/compensation.ts';
import { isFinalExecution, isFinalStep } from '../status.ts';
import type { StepState } from '../view.ts';
import { holdOf } from './hold.ts';
import { lacksInputs, openProducers, stepsUnderWay } from './missing.ts';
import { ableEngines, queuedReason, unbegun } from './queued.ts';
import type { MissingInput, Reason } from './reason.ts';
import type { Situation, StepFacts } from './situation.ts';

/** Missing inputs that are listed. */
export const MAX_MISSING = 20;

export class Explanation {
  readonly #situation: Situation;
  #underWay: readonly (readonly number[])[] | null = null;

  constructor(situation: Situation) {
    this.#situation = situation;
  }

  /** Returns the slots of what is not final, breadth first: steps, and compensations that have begun. */
  unfinished(): number[] {
    const { view } = this.#situation;
    if (isFinalExecution(view.status)) return [];
    const slots = [...view.graph.steps.keys()].filter((slot) => {
      const state = view.steps[slot];
      return state === undefined ? !isCompensation(view.graph, slot) : !isFinalStep(state.status);
    });
    return slots.sort((a, b) => view.graph.rank[a]! - view.graph.rank[b]! || a - b);
  }

  /** The step is not final. */
  reasonOf(slot: number): Reason {
    const { view, execution, steps } = this.#situation;
    const own = this.ownReasonOf(slot);
    const state = view.steps[slot];
    const { status, stopRequested } = view;
    const hold = holdOf(
      { status, isStopping: stopRequested !== null },
      {
        status: state?.status ?? null,
        waitingFor: steps[slot]?.waitingFor ?? null,
        held: state?.held ?? null,
        isCompensation: isCompensation(view.graph, slot),
      },
    );
    if (hold === 'stop' || hold === 'compensating') {
      const { stopRequestedAt: sinceMs, graceEndsAt } = execution;
      return { kind: 'stop', cause: hold, sinceMs, graceEndsAt, own };
    }
    // A pause by hand comes before an incident, which holds the execution by itself.
    const isHeldToo = own.kind === 'start' || (own.kind === 'incident' && view.pause !== null);
    if (hold === 'paused' || (status === 'paused' && isHeldToo)) return this.#paused(own);
    return own;
  }

  /** The reason as if nothing held the execution as a whole. */
  ownReasonOf(slot: number): Reason {
    const { view, steps } = this.#situation;
    const state = view.steps[slot];
    if (view.status === 'pending' || (state === undefined && hasNotBegun(this.#situation)))
      return this.#start();
    if (state === undefined || lacksInputs(view, slot)) return this.#inputs(slot);
    const facts = steps[slot]!;
    switch (state.status) {
      case 'queued':
        return this.#queued(state);
      case 'running':
        return this.#running(state, facts);
      case 'waiting':
        return this.#waiting(state, facts);
      case 'retrying':
        return this.#retrying(state, facts);
      default:
        throw new Error(`Step ${state.id} is ${state.status}: it is final, or its edges decide it.`);
    }
  }

  #paused(own: Reason): Reason {
    const { view, execution } = this.#situation;
    const { sinceMs = null, by = null } = execution.paused ?? {};
    return {
      kind: 'paused',
      sinceMs,
      by,
      parentId: view.pause?.by ?? null,
      isIncident: view.pause === null,
      own,
    };
  }

  #start(): Reason {
    const { execution, around } = this.#situation;
    const { startAt: at, position } = execution;
    if (at !== null) return { kind: 'start', at, position: null };
    return unbegun(around.types, around.engines) ?? { kind: 'start', at: null, position };
  }

  #inputs(slot: number): Reason {
    const { view } = this.#situation;
    const { graph } = view;
    const producers = openProducers(view, slot);
    const live = view.steps[slot]?.live ?? 0;
    const missing = producers.slice(0, MAX_MISSING).map((from) => this.#missing(from));
    const { join } = graph.steps[slot]!;
    const edges = graph.incoming[slot]!.length;
    return { kind: 'inputs', join, edges, live, missing, missingCount: producers.length };
  }

  #missing(slot: number): MissingInput {
    const { view } = this.#situation;
    const status = view.steps[slot]?.status ?? null;
    if (!lacksInputs(view, slot)) {
      const own = isFinalStep(status!) ? null : this.ownReasonOf(slot);
      return { slot, status, own, before: [] };
    }
    this.#underWay ??= stepsUnderWay(view);
    const before = this.#underWay[slot]!.map((each) => ({ slot: each, own: this.ownReasonOf(each) }));
    return { slot, status, own: null, before };
  }

  #queued({ slot, id }: StepState): Reason {
    const { view, around } = this.#situation;
    const { type, concurrency, rateLimit } = view.graph.steps[slot]!;
    const hasLimits = concurrency !== null || rateLimit !== null;
    const limits = around.limits.get(id) ?? (hasLimits ? null : []);
    const limit = Math.max(concurrency?.limit ?? 0, rateLimit?.limit ?? 0);
    return queuedReason({ type, limits, limit }, around.engines, around.slotHolders);
  }

  #running({ slot, owner }: StepState, { sinceMs, deadlineAt }: StepFacts): Reason {
    const { view, around } = this.#situation;
    const engine = around.engines.find(({ id }) => id === owner) ?? null;
    if (engine === null || engine.isLate || !engine.isAlive) {
      const hasPeer = ableEngines(around.engines).some(({ id, isLate }) => id !== owner && !isLate);
      return { kind: 'silent_engine', engineId: owner ?? '', engine, hasPeer };
    }
    const { timeoutMs } = view.graph.steps[slot]!;
    const timeoutAt = deadlineAt ?? (timeoutMs === null ? null : sinceMs + timeoutMs);
    return { kind: 'running', engine, timeoutAt };
  }

  #waiting({ id, held }: StepState, { waitingFor: wait, timerAt }: StepFacts): Reason {
    const { around } = this.#situation;
    if (wait === null) return { kind: 'timer', at: timerAt };
    if (wait.kind === 'scopes' && held !== null)
      return { kind: 'scopes', held, open: around.openScopes.get(id) ?? [] };
    if (wait.kind === 'child')
      return { kind: 'child', id: String(wait.execution_id), child: around.children.get(id) ?? null };
    return { kind: 'answer', wait, leaseUntil: around.leases.get(id) ?? null };
  }

  #retrying({ id, slot, attempt, retries }: StepState, { timerAt, error }: StepFacts): Reason {
    const { view, around } = this.#situation;
    // Nothing but an operator ends the wait of a step whose retries are used up.
    if (timerAt === null) return { kind: 'incident', id: around.incidents.get(id) ?? null, error };
    const { limit: retryLimit } = view.graph.steps[slot]!.retry;
    return { kind: 'retry', at: timerAt, attempt: attempt + 1, retry: retries, retryLimit, error };
  }
}

/** A pending execution that was paused has no rows of steps. */
function hasNotBegun({ view }: Situation): boolean {
  return view.status === 'paused' && view.steps.every((state) => state === undefined);
}
