/**
 * What can happen to an execution. Everything that changes a row is one of these.
 *
 * Events that speak for a running attempt carry its claim: an event whose claim no longer holds the step
 * is late and changes nothing.
 */
import type { Json } from './json/json.ts';

/**
 * The claim token: a step is held by exactly one attempt of one engine. An attempt that is parked or given back is the
 * same one when that engine claims it again: the step's `sequence` at the claim tells the two apart. Whoever speaks of
 * a claim without having made it may leave that out.
 */
export interface Claim {
  readonly attempt: number;
  readonly owner: string;
  readonly sequence?: number;
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

export type Event =
  /** pending -> running: the roots become ready. */
  | { readonly type: 'begin' }
  | { readonly type: 'claim'; readonly slot: number; readonly owner: string }
  | {
      readonly type: 'complete';
      readonly slot: number;
      readonly claim: Claim;
      readonly output: Payload;
      readonly routes: readonly string[] | null;
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
    }
  /** The guard was falsy. */
  | { readonly type: 'skip'; readonly slot: number; readonly claim: Claim }
  | {
      readonly type: 'park';
      readonly slot: number;
      readonly claim: Claim;
      /** Milliseconds until the step goes on; null: no timer wakes it. */
      readonly forMs: number | null;
      readonly state: Json;
      /** What is left of the attempt's timeout, in milliseconds; null: it has none. */
      readonly timeoutMs: number | null;
      /** What wakes the step when no timer does; null: its timer. */
      readonly waitingFor: Json;
    }
  /** A timer of a waiting or retrying step is due. */
  | {
      readonly type: 'wake';
      readonly slot: number;
      readonly attempt: number;
      /** Of the transition that set the timer. */
      readonly sequence: number;
      readonly purpose: 'resume' | 'timeout';
      readonly random: number;
    }
  /** The timeout of an attempt that was parked is over. */
  | {
      readonly type: 'step_time_out';
      readonly slot: number;
      /** Retries that were used when the deadline was set: each retry has a timeout of its own. */
      readonly retries: number;
      readonly random: number;
    }
  /** A drain gives the step back: no attempt and no retry used. */
  | { readonly type: 'release'; readonly slot: number; readonly claim: Claim }
  /** The process that ran it is dead: the attempt is lost and a crash is counted, no retry used. */
  | { readonly type: 'rescue'; readonly slot: number; readonly claim: Claim }
  /** Its process was ended for what another step did, or with its engine: the attempt is lost, no retry used. */
  | { readonly type: 'displace'; readonly slot: number; readonly claim: Claim }
  /** Somebody found the execution stuck: decides again what its rows say, and ends it when it is over. */
  | { readonly type: 'reconsider' }
  | { readonly type: 'stop'; readonly reason: string | null }
  /** The grace time of a stop is over. */
  | { readonly type: 'stop_overdue' }
  | { readonly type: 'cancel'; readonly reason: string | null }
  /** The execution's own timeout. */
  | { readonly type: 'time_out' }
  /** Inputs that a main server wrote by SQL do not match the template's schema, or its template cannot run. */
  | { readonly type: 'reject'; readonly code: string; readonly message: string };
