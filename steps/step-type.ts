/**
 * A step type: a name, a schema of its parameters and a handler.
 *
 * To add a type, copy a file of this folder. A handler returns its output (any JSON value; undefined is null), a
 * `Routed` result when it takes routes, or `Parked` to leave the process until a time has passed or the outside
 * answers. It throws `StepFailure` to say whether its failure is retryable; any other error is.
 */

import type { WaitingFor } from '../core/event.ts';
import type { Json, JsonObject } from '../core/json/json.ts';
import type { HeldScopes } from '../core/scopes/held-scopes.ts';
import type { StepTypeInfo } from '../core/step-type.ts';
import type { ScopeName } from '../core/template.ts';

export interface StepLog {
  info(message: string, fields?: JsonObject): void;
  warn(message: string, fields?: JsonObject): void;
  error(message: string, fields?: JsonObject): void;
}

export interface ScriptOptions {
  timeoutMs: number;
  memoryBytes: number;
  signal: AbortSignal;
}

export interface StepContext<P = JsonObject> {
  /** `with` after interpolation, checked against the type's schema; `{}` when the definition has none. */
  readonly params: P;
  /** Whether the definition has a `with` at all. */
  readonly hasParams: boolean;
  /** Outputs that arrived over live edges when the join was decided, by producer key, in `needs` order. */
  readonly inputs: Readonly<Record<string, Json>>;
  readonly execution: { readonly id: string; readonly template: string; readonly version: number };
  readonly step: { readonly id: string; readonly key: string };
  /** 1 for the first attempt. */
  readonly attempt: number;
  /** The same for every attempt of one step execution. */
  readonly idempotencyKey: string;
  /** Aborted on timeout, silence, stop, cancel and at the end of a drain's grace time; its reason is a StepFailure. */
  readonly signal: AbortSignal;
  readonly log: StepLog;
  readonly secrets: Readonly<Record<string, string>>;
  /** Reports that the handler is alive. Throws the signal's reason once that is aborted. */
  heartbeat(): void;
  /** The state of `Parked`, and the time for which the step was parked by the database's clock; null on a first run. */
  readonly resumed: { readonly state: Json; readonly parkedMs: number } | null;
  /** Of types that hold steps. */
  readonly scopes?: ScopeAccess;
  /**
   * Evaluates a deferred parameter (a string with `${{ }}`, or any JSON value) in the step's scope.
   * @param names values of the names that the scopes of this step give
   */
  evaluate(value: Json, names?: ScopeNames): Json | Promise<Json>;
  /**
   * Keeps a turn of a conversation with the attempt, under its number; resolves when it is stored. Throws StepFailure when
   * the attempt is over.
   */
  keepTurn(number: number, turn: JsonObject): Promise<void>;
  /** Runs the body of an async function of `input` in the sandbox. Throws StepFailure. */
  runScript(code: string, input: Json, options: ScriptOptions): Promise<Json>;
}

/** Values of names that scopes give their steps. */
export type ScopeNames = Readonly<Partial<Record<ScopeName, Json>>>;

/** The scopes that a step holds, for its handler. */
export interface ScopeAccess {
  /** Their numbers; null: the step has opened none so far. */
  readonly held: HeldScopes | null;
  /** Returns the indexes of scopes that have failed or were cancelled. */
  unfinished(): Promise<number[]>;
  /**
   * Returns their results in the order of their index, as an output to return: the output of a completed scope, and
   * `{ error }` of any other. @throws StepFailure when they are too large together
   */
  list(): Promise<unknown>;
  /** Returns what came of the scopes, from an index on. */
  results(from: number): Promise<readonly ScopeOutcome[]>;
  /** Returns the output of the last scope; null: there is none. */
  last(): Promise<Json>;
}

export interface ScopeOutcome {
  readonly status: string;
  /** JSON text; null: none. */
  readonly outputs: string | null;
  readonly error: { readonly code: string; readonly message: string } | null;
}

export interface StepType<P = JsonObject> extends StepTypeInfo {
  run(context: StepContext<P>): unknown;
}

/** A result that names the routes it takes. */
export class Routed {
  readonly output: Json;
  readonly routes: readonly string[];

  constructor(output: Json, routes: readonly string[]) {
    this.output = output;
    this.routes = routes;
  }
}

/** The time for which a step parks: milliseconds from now, or until an instant (ISO 8601). */
export type Pause = { readonly forMs: number } | { readonly until: string };

/**
 * Leaves the process: the step is `waiting`. It runs again, with `resumed`, when the pause is over. An answer of the
 * outside to what it is waiting for ends it without another run.
 */
export class Parked {
  /** Null: no time ends the wait, but the step's timeout. */
  readonly pause: Pause | null;
  readonly state: Json;
  /** Null: the step waits for its pause alone. Its kind is the one that the type declares as `waitsFor`. */
  readonly waitingFor: WaitingFor | null;

  constructor(pause: Pause | null, state: Json = null, waitingFor: WaitingFor | null = null) {
    this.pause = pause;
    this.state = state;
    this.waitingFor = waitingFor;
  }
}

export interface ScopesToOpen {
  /** Scopes besides those that the step has already. */
  readonly count: number;
  /** The largest number of scopes that are open at once. */
  readonly concurrency: number;
  /** The number of failed scopes with which the step goes on; null: it fails as the first failed scope does. */
  readonly tolerated: number | null;
  /** In a later attempt: these scopes are opened anew. */
  readonly again?: readonly number[];
  /** One for each of the added scopes. */
  readonly items?: readonly Json[];
  /** Whether the output will be the list of all results: the step fails as soon as they are too large together. */
  readonly makesList?: boolean;
  /** For each of the added scopes the index of its steps, among those that the step holds; left out: the first. */
  readonly parts?: readonly number[];
}

/** Opens scopes and leaves the process: the step runs again, with `resumed`, when all of them have ended. */
export class Holding {
  readonly scopes: ScopesToOpen;
  readonly state: Json;

  constructor(scopes: ScopesToOpen, state: Json = null) {
    this.scopes = scopes;
    this.state = state;
  }
}

export interface ChildToStart {
  /** Name of its template, in the workspace of the execution. */
  readonly name: string;
  /** Null: the latest one. */
  readonly version: number | null;
  readonly inputs: Json;
  /** False: the step completes with the start, and its output is `{ execution_id }`. */
  readonly isAwaited: boolean;
}

/** Starts a child execution; the step ends with it, without another run. Only for the type `workflow`. */
export class Child {
  readonly child: ChildToStart;

  constructor(child: ChildToStart) {
    this.child = child;
  }
}

export interface StepFailureOptions {
  /** Default false. */
  retryable?: boolean;
  /** The wait before a retry that the other side asked for, in milliseconds. */
  retryAfterMs?: number;
  details?: Json;
  cause?: unknown;
}

export class StepFailure extends Error {
  /** Stable, lower snake case. */
  readonly code: string;
  readonly retryable: boolean;
  readonly retryAfterMs: number | null;
  readonly details: Json;

  constructor(code: string, message: string, options: StepFailureOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'StepFailure';
    this.code = code;
    this.retryable = options.retryable ?? false;
    this.retryAfterMs = options.retryAfterMs ?? null;
    this.details = options.details ?? null;
  }
}
