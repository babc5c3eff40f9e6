/**
 * What the engine and a step host say to each other, as frame headers; values travel as JSON text in the body.
 *
 * A value can be one that JSON cannot write, such as a parameter that came out as NaN: encodeValues says how it
 * travels, and `special` that it did, as between the engine and its sandbox.
 */
import type { Json, JsonObject } from '../../core/json/json.ts';
import { cutText } from '../../core/text/cut.ts';
import { StepFailure } from '../../steps/step-type.ts';

/** What a host needs before it can run anything. */
export interface HostSetup {
  /** Modules of the operator's step types. */
  readonly modules: readonly string[];
  readonly http: {
    readonly allow: readonly string[];
    readonly maxResponseBytes: number;
    readonly timeoutMs: number;
  };
  readonly script: { readonly timeoutMs: number; readonly memoryBytes: number };
  readonly output: { readonly maxDepth: number; readonly maxBytes: number };
  readonly secrets: Readonly<Record<string, string>>;
}

/** A StepFailure on its way. */
export interface WireFailure {
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
  readonly retryAfterMs: number | null;
  readonly details: Json;
}

/** The body holds the parameters and the inputs. */
export interface RunRequest {
  readonly kind: 'run';
  readonly id: number;
  readonly type: string;
  readonly hasParams: boolean;
  readonly execution: { readonly id: string; readonly template: string; readonly version: number };
  readonly step: { readonly id: string; readonly key: string };
  readonly attempt: number;
  readonly idempotencyKey: string;
  readonly resumed: { readonly state: Json; readonly parkedMs: number } | null;
  /** Null: nobody waits for its heartbeats. */
  readonly heartbeatTimeoutMs: number | null;
  readonly special: boolean;
}

export type ToHost =
  | ({ readonly kind: 'setup' } & HostSetup)
  | RunRequest
  | { readonly kind: 'abort'; readonly id: number; readonly reason: WireFailure }
  /** What came of a call: its value is in the body, or it failed. */
  | {
      readonly kind: 'reply';
      readonly call: number;
      readonly special: boolean;
      readonly failure: WireFailure | null;
    }
  | { readonly kind: 'ping' }
  | { readonly kind: 'close' };

export type FromHost =
  | { readonly kind: 'ready' }
  /** It cannot run anything. */
  | { readonly kind: 'broken'; readonly message: string }
  | { readonly kind: 'pong' }
  /** Their handlers are about to be called. */
  | { readonly kind: 'begun'; readonly ids: readonly number[] }
  /** The body is the output, as it is stored. */
  | { readonly kind: 'done'; readonly id: number; readonly routes: readonly string[] | null }
  /** The body is the state. */
  | {
      readonly kind: 'parked';
      readonly id: number;
      readonly forMs: number | null;
      readonly until: string | null;
    }
  | { readonly kind: 'failed'; readonly id: number; readonly failure: WireFailure; readonly stack: string }
  /** Its handler is alive. */
  | { readonly kind: 'beat'; readonly id: number }
  /** What is no StepFailure. */
  | { readonly kind: 'threw'; readonly id: number; readonly message: string; readonly stack: string }
  /** It gave up for the reason it was told. */
  | { readonly kind: 'aborted'; readonly id: number }
  | {
      readonly kind: 'log';
      readonly id: number;
      readonly level: 'info' | 'warn' | 'error';
      readonly message: string;
      readonly fields: JsonObject | null;
    }
  /** Calls back to the engine; the body is what is to be evaluated, or the input. */
  | { readonly kind: 'evaluate'; readonly id: number; readonly call: number }
  | {
      readonly kind: 'script';
      readonly id: number;
      readonly call: number;
      readonly code: string;
      readonly timeoutMs: number;
      readonly memoryBytes: number;
    }
  | { readonly kind: 'abort-call'; readonly id: number; readonly call: number };

/** A host may send this much besides an output. */
export const MAX_CALL_BYTES = 64 * 1024 * 1024;
const MAX_MESSAGE_LENGTH = 20_000;
const MAX_STACK_LENGTH = 10_000;
const MAX_CAUSES = 5;

/** Of two heartbeats that come closer to each other than this the host says one. */
export function heartbeatPauseMs(heartbeatTimeoutMs: number): number {
  return Math.min(1_000, heartbeatTimeoutMs / 10);
}

/** Read again by readResults of expression/sandbox/wire.ts. */
export function encodeValues(values: readonly unknown[]): { text: string; special: boolean } {
  let special = false;
  const text = JSON.stringify(
    values.map((value) => [value]),
    (_key, value: unknown) => {
      const written = writable(value);
      if (written !== value) special = true;
      return written;
    },
  );
  return { text, special };
}

/** Likewise, of values that come from JSON. */
export function encodePlain(values: readonly Json[]): { text: string; special: boolean } {
  return { text: JSON.stringify(values.map((value) => [value])), special: false };
}

function writable(value: unknown): unknown {
  if (typeof value === 'number' && !Number.isFinite(value)) return `\0${value}`;
  return typeof value === 'string' && value.startsWith('\0') ? `\0${value}` : value;
}

/** @param details as they can be stored */
export function wireFailure(failure: StepFailure, details: Json): WireFailure {
  const { code, retryable, retryAfterMs } = failure;
  return { code: String(code), message: messageOf(failure), retryable, retryAfterMs, details };
}

export function stepFailure({ code, message, retryable, retryAfterMs, details }: WireFailure): StepFailure {
  const wait = retryAfterMs === null ? {} : { retryAfterMs };
  return new StepFailure(code, message, { retryable, details, ...wait });
}

/** The message of whatever was thrown, which may be no error, or one that resists. */
export function messageOf(thrown: unknown): string {
  try {
    const text = thrown instanceof Error ? String(thrown.message || thrown.name) : String(thrown);
    return cutText(text, MAX_MESSAGE_LENGTH);
  } catch {
    return `a value of type ${typeof thrown} that cannot be written as text`;
  }
}

/** Where whatever was thrown comes from, with its causes, as text for the log; empty: it does not say. */
export function stackOf(thrown: unknown): string {
  const stacks: string[] = [];
  try {
    for (let error = thrown; error instanceof Error && stacks.length < MAX_CAUSES; error = error.cause)
      stacks.push(String(error.stack));
  } catch {
    // One that resists.
  }
  return cutText(stacks.join('\ncaused by: '), MAX_STACK_LENGTH);
}

/** An error of another process: its stack is where it was thrown there. */
export function withStack<E extends Error>(error: E, stack: string): E {
  error.stack = stack === '' ? `${error.name}: ${error.message}` : stack;
  return error;
}
