/**
 * A ready step with limits on its way to a start, as this process knows it.
 *
 * Losing one loses nothing: the step is queued and has its ticket.
 */

import type { SharedLimit } from '../../core/step-limit.ts';
import { NOBODY } from '../../db/pending-execution.ts';
import type { Loaded } from '../../door/actor.ts';
import type { ReservedStep } from '../../door/capacity.ts';
import type { Admission } from '../admission.ts';

/**
 * `fresh`: the commit that made it ready is on its way; `evaluating` its keys; `held` back in its group;
 * `ready`: it takes its turn for a slot; `asking` with a slot; `granted`: to be claimed.
 */
type Stage = 'fresh' | 'evaluating' | 'held' | 'ready' | 'asking' | 'granted';

export class LimitedStep implements ReservedStep {
  readonly id: string;
  readonly slot: number;
  /** Its execution as it was when the step was offered last. */
  loaded: Loaded;
  stage: Stage = 'fresh';
  /** Whether it is in the dispatcher's hands. */
  lined = false;
  removed = false;
  admission: Admission | null = null;
  concurrency: SharedLimit | null = null;
  rate: SharedLimit | null = null;
  /** Of the steps that share its limits; null: it asks on its own. */
  groupId: string | null = null;
  /** What its group knew when it asked. */
  askedAt = 0;
  /** Of performance.now(): a grant that was not claimed by then is asked for again. */
  expiresAt = Number.POSITIVE_INFINITY;

  constructor({ loaded, slot }: ReservedStep) {
    this.loaded = loaded;
    this.slot = slot;
    this.id = loaded.view.steps[slot]!.id;
  }

  /** Whether the step may still start, as far as this process knows. */
  get isQueued(): boolean {
    const { actor, view } = this.loaded;
    if (actor.loaded !== this.loaded || view.status !== 'running' || view.stopRequested !== null)
      return false;
    const state = view.steps[this.slot];
    return state?.id === this.id && state.status === 'queued';
  }

  /** Whether nothing will be heard of it any more: its commit or its claim did not come about. */
  get isForgotten(): boolean {
    if (this.isQueued || this.lined) return false;
    const { actor, view } = this.loaded;
    const isBeingClaimed = actor.loaded === this.loaded && view.steps[this.slot]?.status === 'running';
    return this.stage === 'fresh' || (this.stage === 'granted' && !isBeingClaimed);
  }
}

/** Its place in a ready queue. */
export function placeOf<T>(step: LimitedStep, item: T) {
  const { loaded, slot } = step;
  return {
    workspace: loaded.facts.workspaceId ?? NOBODY,
    priority: loaded.facts.priority,
    executionId: loaded.id,
    rank: loaded.view.graph.rank[slot]!,
    item,
  };
}
