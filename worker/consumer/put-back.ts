/**
 * When a job that was fetched, and that nothing came of here, is looked at again: by whom it is fetched then.
 */

import type { Job } from '../../core/jobs.ts';
import { findSlot } from '../../core/view.ts';
import type { Actor } from '../../door/actor.ts';
import type { FetchedJob } from '../../queue/execution-engine-queue.ts';
import { UNREADABLE_MS } from '../../template/unreadable.ts';
import type { AttemptStarter } from '../attempt-starter.ts';
import { Spread } from './spread.ts';

/** Somebody else has the execution locked for longer than a commit takes. */
export const LOCKED_JOB_MS = 200;
/** Its outputs are being made. */
const UNDECIDED_MS = 1_000;
/** A commit of this process that is on its way takes no longer. */
export const LOOK_AGAIN_MS = 50;
/** The step takes its turn in this process. */
const OFFERED_TICKET_MS = 1_000;
/** What is for other engines comes back after this, and of this engine's so many in a second. */
const FOR_OTHERS_MS = 400;
const FOR_OTHERS_PER_SECOND = 300;
const LONGEST_FOR_OTHERS_MS = 120_000;
const RECENT_MS = 5_000;

/** A job deferred this round. */
export interface LeftJob {
  readonly actor: Actor;
  readonly job: FetchedJob;
  /**
   * `busy`: a commit of this process is on its way, or the step is for others. `locked`: somebody else has the execution
   * locked. `unreadable`: nobody here understands it.
   */
  readonly because: 'busy' | 'locked' | 'unreadable';
}

/** The steps that this process has in hand. */
export interface StepsInHand {
  /** Whether the step takes its turn here. */
  isOffered(stepId: string): boolean;
  /** Milliseconds after which the ticket of a step with limits is to come back. */
  ticketDelayMs(): number;
}

export class PutBack {
  readonly #inHand: StepsInHand;
  readonly #starter: Pick<AttemptStarter, 'canRun' | 'canRunAll'>;
  readonly #spread = new Spread(FOR_OTHERS_MS, LONGEST_FOR_OTHERS_MS);
  /** Of performance.now(). */
  #passedOnAt = Number.NEGATIVE_INFINITY;

  constructor(inHand: StepsInHand, starter: Pick<AttemptStarter, 'canRun' | 'canRunAll'>) {
    this.#inHand = inHand;
    this.#starter = starter;
  }

  /** The job as it goes back, by the reason for which it was left. */
  left({ actor, job, because }: LeftJob): Job {
    if (because === 'locked') return later(job, LOCKED_JOB_MS);
    if (because === 'unreadable') return this.#forOthers(job);
    const back = this.awaited(actor, job);
    return back.startAfter === null ? later(job, LOOK_AGAIN_MS) : back;
  }

  /** A ticket is due again at once, unless its step starts from here, asks for its start from here, or never will. */
  awaited(actor: Actor, job: FetchedJob): Job {
    const { loaded } = actor;
    if (job.data.kind !== 'step' || loaded === null) return later(job, LOOK_AGAIN_MS);
    if (this.#inHand.isOffered(job.data.step_id)) return later(job, OFFERED_TICKET_MS);
    if (this.isForOthers(actor, job)) return this.#forOthers(job);
    if (!loaded.version.hasLimits) return again(job);
    const slot = findSlot(loaded.view, job.data.step_id);
    if (slot === null || loaded.step(slot).limits === null) return again(job);
    return later(job, this.#inHand.ticketDelayMs());
  }

  /**
   * An execution whose outputs take time is written by a later commit, which takes its jobs away: until then they are
   * what is left of it when the engine dies. One that could not be decided, a fault of the engine, keeps them.
   */
  undecided({ loaded }: Actor, job: FetchedJob): Job {
    return later(job, loaded === null ? UNREADABLE_MS : UNDECIDED_MS);
  }

  /** Whether a job is the ticket of a step that this engine cannot run, as far as it knows the execution. */
  isForOthers({ loaded }: Actor, { data }: FetchedJob): boolean {
    if (data.kind !== 'step' || loaded === null || this.#starter.canRunAll(loaded.version)) return false;
    const slot = findSlot(loaded.view, data.step_id);
    return slot !== null && !this.#starter.canRun({ loaded, slot });
  }

  /** Whether a job was put back for others a short while ago. */
  get hasPassedOn(): boolean {
    return performance.now() - this.#passedOnAt < RECENT_MS;
  }

  /**
   * Soon, so that others are not kept waiting by an engine that looked first; later where there are many, so that
   * looking at them in vain is no more than a part of this engine's work.
   */
  #forOthers(job: FetchedJob): Job {
    this.#passedOnAt = performance.now();
    return later(job, this.#spread.next(1_000 / FOR_OTHERS_PER_SECOND));
  }
}

function again({ queue, id, data, priority }: FetchedJob): Job {
  return { queue, id, data, priority, startAfter: null };
}

export function later(job: FetchedJob, afterMs: number): Job {
  return { ...again(job), startAfter: afterMs };
}
