/**
 * Decides when a fetched job without effect becomes due again, and for which engines.
 */

import type { Job } from '../../core/jobs.ts';
import { findSlot } from '../../core/view.ts';
import type { Actor } from '../../door/actor.ts';
import type { FetchedJob } from '../../queue/execution-engine-queue.ts';
import { UNREADABLE_MS } from '../../template/unreadable.ts';
import type { AttemptStarter } from '../attempt-starter.ts';
import { Spread } from './spread.ts';

/** The execution has been locked elsewhere for longer than a commit takes. */
export const LOCKED_JOB_MS = 200;
/** The outputs of its execution are being computed. */
const UNDECIDED_MS = 1_000;
/** Longer than a commit in flight of this process takes. */
export const LOOK_AGAIN_MS = 50;
/** The step takes its turn in this process. */
const OFFERED_TICKET_MS = 1_000;
/** Delay of jobs left to other engines, and the number of this engine's in a second. */
const FOR_OTHERS_MS = 400;
const FOR_OTHERS_PER_SECOND = 300;
const LONGEST_FOR_OTHERS_MS = 120_000;
const RECENT_MS = 5_000;

/** A job deferred this round. */
export interface LeftJob {
  readonly actor: Actor;
  readonly job: FetchedJob;
  /**
   * `busy`: a commit of this process is in flight, or the step is left to others. `locked`: the execution is locked
   * elsewhere. `unreadable`: this engine cannot read the execution.
   */
  readonly because: 'busy' | 'locked' | 'unreadable';
}

/** The steps that this process is handling. */
export interface StepsInHand {
  /** Returns whether the step takes its turn here. */
  isOffered(stepId: string): boolean;
  /** Returns milliseconds after which the ticket of a step with limits should come back. */
  ticketDelayMs(): number;
}

export class PutBack {
  readonly #inHand: StepsInHand;
  readonly #starter: Pick<AttemptStarter, 'canRun' | 'canRunAll'>;
  readonly #spread = new Spread(FOR_OTHERS_MS, LONGEST_FOR_OTHERS_MS);
  /** Time of the last job put back for others, of performance.now(). */
  #passedOnAt = Number.NEGATIVE_INFINITY;

  constructor(inHand: StepsInHand, starter: Pick<AttemptStarter, 'canRun' | 'canRunAll'>) {
    this.#inHand = inHand;
    this.#starter = starter;
  }

  /** Returns the job to put back, delayed according to the reason. */
  left({ actor, job, because }: LeftJob): Job {
    if (because === 'locked') return later(job, LOCKED_JOB_MS);
    if (because === 'unreadable') return this.#forOthers(job);
    const back = this.awaited(actor, job);
    return back.startAfter === null ? later(job, LOOK_AGAIN_MS) : back;
  }

  /**
   * Returns the ticket to put back, due at once, unless its step starts from here, asks for its start from here, or
   * never starts.
   */
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
   * An execution whose outputs take time is written by a later commit, which deletes its jobs: until then they are
   * needed in case the engine dies. An execution that could not be decided, a fault of the engine, keeps its jobs.
   */
  undecided({ loaded }: Actor, job: FetchedJob): Job {
    return later(job, loaded === null ? UNREADABLE_MS : UNDECIDED_MS);
  }

  /** Returns whether a job is the ticket of a step that this engine cannot run, as far as it knows the execution. */
  isForOthers({ loaded }: Actor, { data }: FetchedJob): boolean {
    if (data.kind !== 'step' || loaded === null || this.#starter.canRunAll(loaded.version)) return false;
    const slot = findSlot(loaded.view, data.step_id);
    return slot !== null && !this.#starter.canRun({ loaded, slot });
  }

  /** Returns whether a job was recently put back for others. */
  get hasPassedOn(): boolean {
    return performance.now() - this.#passedOnAt < RECENT_MS;
  }

  /**
   * A short delay, so that other engines do not wait for one that looked first; longer with many such jobs, so that
   * fetching them for nothing stays a small part of this engine's work.
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
