/**
 * The events of an execution. Every change to a row comes from one of these.
 *
 * Events of a running attempt carry its claim. An event is late, and changes nothing, once its claim no longer holds
 * the step.
 */
import type { Act } from './control/act.ts';
import type { Repair } from './control/asked-repair.ts';
import type { ReusedStep } from './control/fork/reused-step.ts';
import type { Json } from './json/json.ts';

/**
 * The claim token: a step is held by exactly one attempt of one engine. An attempt that is parked or given back keeps
 * its number when the same engine claims it again: the step's `sequence` at the claim tells the two apart. `sequence`
 * may be left out by code that names a claim it did not make.
 *
 * `stepId` is the step execution. A scope that is opened anew has new ones in the slots of the old: their first claims
 * could be told apart by nothing else.
 */
export interface Claim {
  readonly attempt: number;
  readonly owner: string;
  readonly sequence?: number;
  readonly stepId?: string;
}

export interface StepError {
  readonly code: string;
  readonly message: string;
  readonly details: Json;
}

/** An output as the shell carries it through a transition; the core never looks inside. */
export interface Payload {
  /** The value as JSON text. */
  readonly json: string;
}

/** `scopes` and `child` are ended by what the step holds, all others by an answer of the outside. */
export type WaitKind = 'signal' | 'form' | 'webhook' | 'task' | 'scopes' | 'child';

/** What a parked step waits for besides its timer. It is stored with the step and shown as `waiting_for`. */
export interface WaitingFor {
  readonly kind: WaitKind;
  readonly [field: string]: Json;
}

/** A claim of a task by a worker outside. */
export interface TaskClaim {
  readonly queue: string;
  readonly worker: string;
  /** Names the claim: a heartbeat or a result with another token is refused. */
  readonly token: string;
  readonly leaseMs: number;
  /** Whether it takes a slot of the step's `concurrency`, which was granted before. */
  readonly isLimited: boolean;
}

/** Completes a waiting step, or fails its attempt. */
export type WaitResult =
  | { readonly output: Payload }
  | { readonly error: StepError; readonly retryable: boolean };

/** Completes a waiting step, fails its attempt, or takes part of what it waits for. */
export type AnswerResult =
  | WaitResult
  /** The step goes on waiting, for what is left. */
  | { readonly waitingFor: WaitingFor };

/** What becomes of a step that is ended by hand. */
export type ForcedResult =
  | { readonly kind: 'complete'; readonly output: Payload; readonly routes: readonly string[] | null }
  | { readonly kind: 'fail'; readonly error: StepError }
  | { readonly kind: 'skip' };

/** The failure of a scope or a child, as the step that holds it fails with it. */
export interface ScopeFailure {
  readonly error: StepError;
  readonly retryable: boolean;
}

/** The end of one scope. */
export interface EndedScope {
  readonly index: number;
  readonly status: ScopeEnd;
  /** Set when the scope has failed. */
  readonly failure: ScopeFailure | null;
  /** Of its result, as it stands in a list of all; left out: not measured. */
  readonly bytes?: number;
}

/** Scopes that a holder opens when it is parked. */
export interface AddedScopes {
  /** Scopes besides those that the holder knows. */
  readonly count: number;
  readonly concurrency: number;
  readonly tolerated: number | null;
  /**
   * Set in a later attempt of the holder: begins a new run, in which these scopes are opened anew: all that did not
   * complete in the last run.
   */
  readonly again?: readonly number[];
  /** The scopes in the template that the added ones are runs of; left out: the first, for a step that has one. */
  readonly parts?: readonly number[];
  /** What the added scopes get, by their index, in pieces; left out: nothing. */
  readonly items?: readonly ScopeItems[];
  /** The most bytes of the list of all results; left out: the holder makes none. */
  readonly maxListBytes?: number;
}

/** Items of scopes in a row: a JSON array. */
export interface ScopeItems {
  /** Among those that are added together; in a plan among all of the holder. */
  readonly firstIndex: number;
  readonly items: Payload;
}

/** A child execution that a step starts, in the commit of its own event. */
export interface ChildStart {
  readonly id: string;
  readonly templateId: string;
  /** The version that the definition names; null: the latest one. */
  readonly requestedVersion: number | null;
  readonly inputs: Payload;
}

/** The child execution that a step waits for has ended. */
export interface ChildEnded {
  readonly type: 'child_ended';
  readonly slot: number;
  /** The attempt that started the child. */
  readonly attempt: number;
  readonly childId: string;
  /** Its outputs, or how the attempt fails. */
  readonly result: WaitResult;
  /** In [0, 1): the jitter of a retry's delay. */
  readonly random: number;
}

export type ScopeEnd = 'completed' | 'failed' | 'cancelled';

/** Scopes of a waiting step have ended. */
export interface ScopesEnded {
  readonly type: 'scopes_ended';
  /** The step that holds them. */
  readonly slot: number;
  readonly run: number;
  readonly ends: readonly EndedScope[];
  /** In [0, 1): the jitter of a retry's delay. */
  readonly random: number;
}

/** Scopes of a step have been undone. */
export interface ScopesUndone {
  readonly type: 'scopes_undone';
  /** The step that holds them. */
  readonly slot: number;
  readonly count: number;
}

export type Event =
  /** pending -> running: the roots become ready. */
  | { readonly type: 'begin' }
  /** pending -> running: begins with steps that another execution has finished. */
  | { readonly type: 'begin_fork'; readonly reused: readonly ReusedStep[]; readonly act?: Act }
  | { readonly type: 'claim'; readonly slot: number; readonly owner: string }
  | {
      readonly type: 'complete';
      readonly slot: number;
      readonly claim: Claim;
      readonly output: Payload;
      readonly routes: readonly string[] | null;
      /** A child that it has started and does not wait for; left out: none. */
      readonly child?: ChildStart;
      /** What the handler has logged, as a list; left out: nothing. */
      readonly logs?: Payload;
    }
  | {
      readonly type: 'fail';
      readonly slot: number;
      readonly claim: Claim;
      readonly error: StepError;
      readonly retryable: boolean;
      readonly retryAfterMs: number | null;
      /** False when the guard or an expression failed before the handler began: no attempt was made. */
      readonly begun: boolean;
      /** In [0, 1): the jitter of the retry's delay. */
      readonly random: number;
      /** Time for which the attempt ran in its process, for metrics and log lines. */
      readonly ranMs?: number;
      /** What the handler has logged, as a list; left out: nothing. */
      readonly logs?: Payload;
    }
  /** The guard was falsy. */
  | { readonly type: 'skip'; readonly slot: number; readonly claim: Claim }
  | {
      readonly type: 'park';
      readonly slot: number;
      readonly claim: Claim;
      /** Milliseconds until the step resumes; null: no timer wakes it. */
      readonly forMs: number | null;
      readonly state: Json;
      /** Milliseconds left of the attempt's timeout; null: no timeout. */
      readonly timeoutMs: number | null;
      /** What ends the wait besides a timer; null: its timer alone. */
      readonly waitingFor: WaitingFor | null;
      /** Scopes that it opens and waits for; left out: none. */
      readonly scopes?: AddedScopes;
      /** A child that it starts and waits for; left out: none. */
      readonly child?: ChildStart;
      /** What the handler has logged, as a list; left out: nothing. */
      readonly logs?: Payload;
    }
  /** A worker outside claims a waiting task. */
  | {
      readonly type: 'claim_task';
      readonly slot: number;
      readonly stepId?: string;
      readonly attempt: number;
      readonly sequence: number;
      readonly task: TaskClaim;
    }
  /** The lease of a task's claim has run out: the task is given back. */
  | {
      readonly type: 'return_task';
      readonly slot: number;
      readonly stepId?: string;
      readonly attempt: number;
      readonly sequence: number;
      readonly queue: string;
      /** Claims before this one that were lost in a row. */
      readonly losses: number;
      /** In [0, 1): the jitter of a retry's delay. */
      readonly random: number;
    }
  /** The outside answers a waiting step: a signal, a form, a request, or the result of a worker ends it. */
  | {
      readonly type: 'answer';
      readonly slot: number;
      /** The step execution, which another one may have followed in the slot. */
      readonly stepId?: string;
      readonly attempt: number;
      /** The sequence of the transition that parked the step: an answer to an earlier wait is late. */
      readonly sequence: number;
      /** Tells this answer from all others. It is stored: whoever got no reply finds out whether it counted. */
      readonly id: string;
      readonly result: AnswerResult;
      /** The kept signal that this answer uses up; left out: none. */
      readonly signal?: string;
      /** In [0, 1): the jitter of a retry's delay. */
      readonly random: number;
    }
  | ScopesEnded
  | ChildEnded
  | ScopesUndone
  /** A timer of a waiting or retrying step is due. */
  | {
      readonly type: 'wake';
      readonly slot: number;
      readonly stepId?: string;
      readonly attempt: number;
      /** The sequence of the transition that set the timer. */
      readonly sequence: number;
      /** `timeout`: set by an engine of an earlier version, which had no deadlines. */
      readonly purpose: 'resume' | 'timeout';
      readonly random: number;
    }
  /** The timeout of a parked attempt has passed. */
  | {
      readonly type: 'step_time_out';
      readonly slot: number;
      readonly stepId?: string;
      /** Retries used when the deadline was set: each retry has a timeout of its own. */
      readonly retries: number;
      readonly random: number;
    }
  /** A draining engine gives the step back: no attempt and no retry is used. */
  | { readonly type: 'release'; readonly slot: number; readonly claim: Claim; readonly logs?: Payload }
  /** The process of the attempt has died: the attempt is lost and a crash is counted; no retry is used. */
  | { readonly type: 'rescue'; readonly slot: number; readonly claim: Claim; readonly logs?: Payload }
  /** Its process was ended because of another step, or with its engine: the attempt is lost; no retry is used. */
  | { readonly type: 'displace'; readonly slot: number; readonly claim: Claim; readonly logs?: Payload }
  /** The execution was found stuck: decides again from its rows, and ends the execution when it is over. */
  | { readonly type: 'reconsider' }
  | {
      readonly type: 'stop';
      readonly reason: string | null;
      /** Left out: a parent stops it. */
      readonly act?: Act;
    }
  /** The grace time of a stop, or of an end after which something is to be undone, is over. */
  | { readonly type: 'stop_overdue' }
  | {
      readonly type: 'cancel';
      readonly reason: string | null;
      /** Left out: a parent cancels it. */
      readonly act?: Act;
    }
  /** Somebody ends a step, whatever it does. */
  | {
      readonly type: 'force';
      readonly slot: number;
      readonly stepId: string;
      readonly result: ForcedResult;
      readonly act: Act;
    }
  /** A retry of what is over. */
  | {
      readonly type: 'repair';
      readonly repair: Repair;
      /** The sequence that it was judged at: at any other it is late. Null: it is judged anew, as its parent has asked for it. */
      readonly sequence: number | null;
      readonly act: Act;
    }
  /** Somebody decides what becomes of an incident: the step is tried again, or its failure is final. */
  | {
      readonly type: 'close_incident';
      readonly slot: number;
      readonly stepId: string;
      readonly attempt: number;
      /** Null: the step is tried again. */
      readonly failure: ScopeFailure | null;
      readonly act?: Act;
    }
  /** Nothing more begins until the execution is resumed. */
  | {
      readonly type: 'pause' | 'resume';
      /** The id of the parent that is paused or goes on; null: it is paused or resumed by itself. */
      readonly by: string | null;
      /** Left out: a parent does it. */
      readonly act?: Act;
    }
  /** The execution's own timeout. */
  | {
      readonly type: 'time_out';
      /** The timeout of which it is the end, which may be another one by now; left out: the present one. */
      readonly timeoutMs?: number;
    }
  /** Another version of the template follows. Only a commit of its own decides it (door/control/). */
  | {
      readonly type: 'migrate';
      /** Id of the version. */
      readonly templateId: string;
      readonly map: ReadonlyMap<string, string | null>;
      readonly act: Act;
    }
  /** Inputs that a main server wrote by SQL do not match the template's schema, or its template cannot run. */
  | { readonly type: 'reject'; readonly code: string; readonly message: string };
