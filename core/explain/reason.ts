/**
 * The reasons why a step is not final, as data: one case for each.
 *
 * Times are milliseconds of the epoch, by the database's clock.
 */
import type { WaitingFor } from '../event.ts';
import type { HeldScopes } from '../scopes/held-scopes.ts';
import type { ExecutionStatus, StepStatus } from '../status.ts';
import type { Join } from '../template.ts';

/** An engine, as its row and its lease show it. */
export interface EngineFacts {
  readonly id: string;
  readonly host: string;
  readonly pid: number;
  /** Steps that it runs at once; 0: it runs none. */
  readonly capacity: number;
  readonly used: number;
  /** Null: it does not say. */
  readonly stepTypes: readonly string[] | null;
  readonly heardAt: number;
  readonly isAlive: boolean;
  /** A heartbeat is missing: it is judged dead unless the next one comes in time. */
  readonly isLate: boolean;
  /** The latest time at which it counts as dead without a further heartbeat. */
  readonly deadAt: number;
}

/** A step of any execution that holds a limit or a place on an engine. */
export interface HolderFacts {
  readonly executionId: string;
  /** `key`, or `each[3]/key`. */
  readonly path: string;
  readonly sinceMs: number;
}

/** A limit of a queued step, with its present use. */
export interface LimitFacts {
  readonly key: string;
  readonly limit: number;
  /** The length of the window of a rate; null: `concurrency`. */
  readonly perMs: number | null;
  readonly used: number;
  /** Of a rate: the time until the first of its starts counts no more; null: not known. */
  readonly freeInMs: number | null;
  /** Some of the steps that hold it. */
  readonly holders: readonly HolderFacts[];
  /** The step's place in the line for it, from 1; null: not known. */
  readonly position: number | null;
}

export interface ChildFacts {
  readonly id: string;
  readonly status: ExecutionStatus;
  /** A step of it that is not final and has begun; null: there is none, or it is final. */
  readonly step: {
    readonly key: string;
    readonly status: StepStatus;
    readonly waitingFor: WaitingFor | null;
  } | null;
}

/** A producer whose edge to the step is still open. */
export interface MissingInput {
  readonly slot: number;
  /** Null: it has no row. */
  readonly status: StepStatus | null;
  /** The reason why it is not final itself; null: it waits for inputs. */
  readonly own: Reason | null;
  /** Steps before it that have begun and are not final: they can still lead to it. */
  readonly before: readonly StepUnderWay[];
}

export interface StepUnderWay {
  readonly slot: number;
  /** The reason why it is not final. */
  readonly own: Reason;
}

export type Reason =
  /** The execution has not begun. */
  | { readonly kind: 'start'; readonly at: number | null; readonly position: number | null }
  | {
      readonly kind: 'inputs';
      readonly join: Join;
      readonly edges: number;
      readonly live: number;
      readonly missing: readonly MissingInput[];
      /** Of all, also those that are not listed. */
      readonly missingCount: number;
    }
  | { readonly kind: 'timer'; readonly at: number | null }
  /** Something of the outside ends the wait. */
  | { readonly kind: 'answer'; readonly wait: WaitingFor; readonly leaseUntil: number | null }
  | { readonly kind: 'child'; readonly id: string; readonly child: ChildFacts | null }
  /** `open` names some of the scopes that are open. */
  | { readonly kind: 'scopes'; readonly held: HeldScopes; readonly open: readonly string[] }
  | { readonly kind: 'limit'; readonly limit: LimitFacts }
  /** Its limits are not known outside the engine that has the step. */
  | { readonly kind: 'hidden_limit'; readonly limit: number }
  | {
      readonly kind: 'retry';
      readonly at: number | null;
      readonly attempt: number;
      readonly retry: number;
      readonly retryLimit: number;
      readonly error: { readonly code: string; readonly message: string } | null;
    }
  /** A place on an engine. `free`: those that are free at present. */
  | {
      readonly kind: 'slot';
      readonly engines: number;
      readonly free: number;
      readonly capacity: number;
      readonly holders: readonly HolderFacts[];
    }
  /** No living engine has these types; none: no engine has all types of the template. */
  | { readonly kind: 'step_type'; readonly types: readonly string[] }
  /** No engine that runs steps is alive. */
  | { readonly kind: 'no_engine' }
  | { readonly kind: 'running'; readonly engine: EngineFacts; readonly timeoutAt: number | null }
  /** The engine that runs it is silent. Null: it is not on the list any more. */
  | {
      readonly kind: 'silent_engine';
      readonly engineId: string;
      readonly engine: EngineFacts | null;
      /** Whether another engine is there to take the step over. */
      readonly hasPeer: boolean;
    }
  | {
      readonly kind: 'paused';
      readonly sinceMs: number | null;
      readonly by: string | null;
      /** The parent that paused it; null: it was paused itself. */
      readonly parentId: string | null;
      /** Nobody paused it: an incident of a step did. */
      readonly isIncident: boolean;
      readonly own: Reason;
    }
  | {
      readonly kind: 'incident';
      readonly id: string | null;
      readonly error: { readonly code: string; readonly message: string } | null;
    }
  /** The execution is being stopped, or is about to undo what it has completed. */
  | {
      readonly kind: 'stop';
      readonly cause: 'stop' | 'compensating';
      readonly sinceMs: number | null;
      readonly graceEndsAt: number | null;
      readonly own: Reason;
    };
