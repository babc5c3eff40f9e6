/**
 * A ready step with limits on its way to a start, as this process knows it.
 *
 * Losing one is harmless: the step is queued and has its ticket.
 */

import type { SharedLimit } from '../../core/limits/step-limit.ts';
import { NOBODY } from '../../db/pending-execution.ts';
import type { Loaded } from '../../door/actor.ts';
import type { ReservedStep } from '../../door/capacity.ts';
import type { Admission } from '../admission.ts';

/**
 * `fresh`: the commit that made it ready is in flight; `evaluating` its keys; `held` back in its group;
 * `ready`: it takes its turn for a place; `asking` with a place; `granted`: may be claimed.
 */
type Stage = 'fresh' | 'evaluating' | 'held' | 'ready' | 'asking' | 'granted';

export class LimitedStep implements ReservedStep {
  readonly id: string;
  readonly slot: number;
  /** Its execution when the step was last offered. */
  loaded: Loaded;
  stage: Stage = 'fresh';
  /** Whether the dispatcher has it in its queue. */
  lined = false;
  removed = false;
  admission: Admission | null = null;
  concurrency: SharedLimit | null = null;
  rate: SharedLimit | null = null;
  /** Group of the steps that share its limits; null: it asks on its own. */
  groupId: string | null = null;
  /** The group's count of changes when it asked. */
  askedAt = 0;
  /** Expiry, of performance.now(): after it an unclaimed grant is requested again. */
  expiresAt = Number.POSITIVE_INFINITY;

  constructor({ loaded, slot }: ReservedStep) {
    this.loaded = loaded;
    this.slot = slot;
    this.id = loaded.view.steps[slot]!.id;
  }

  /** Returns whether the step may still start, as far as this process knows. */
  get isQueued(): boolean {
    const { actor, view } = this.loaded;
    if (actor.loaded !== this.loaded || view.status !== 'running' || view.stopRequested !== null)
      return false;
    const state = view.steps[this.slot];
    return state?.id === this.id && state.status === 'queued';
  }

  /** Returns whether nothing more will happen to it here: its commit or its claim failed. */
  get isForgotten(): boolean {
    if (this.isQueued || this.lined) return false;
    const { actor, view } = this.loaded;
    const isBeingClaimed = actor.loaded === this.loaded && view.steps[this.slot]?.status === 'running';
    return this.stage === 'fresh' || (this.stage === 'granted' && !isBeingClaimed);
  }
}

/** Returns its place in a ready queue. */
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
