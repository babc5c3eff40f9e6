/**
 * Messages between the engine and a step host, as frame headers; values travel as JSON text in the body.
 *
 * Some values cannot be written as JSON, such as a parameter that became NaN: encodeValues encodes them, and marks
 * the message as `special`, as between the engine and its sandbox.
 */
import type { Json, JsonObject } from '../../core/json/json.ts';
import { cutText } from '../../core/text/cut.ts';
import type { AgentSettings } from '../../steps/agent/settings.ts';
import type { MailSettings } from '../../steps/email/smtp-server.ts';
import { type Pause, StepFailure } from '../../steps/step-type.ts';

/** The set-up of a host. */
export interface HostSetup {
  /** Modules of custom step types. */
  readonly modules: readonly string[];
  readonly http: {
    readonly allow: readonly string[];
    readonly maxResponseBytes: number;
    readonly timeoutMs: number;
  };
  readonly publicUrl: string | null;
  readonly mail: MailSettings;
  readonly script: { readonly timeoutMs: number; readonly memoryBytes: number };
  readonly output: { readonly maxDepth: number; readonly maxBytes: number };
  readonly agent: AgentSettings;
  readonly secrets: Readonly<Record<string, string>>;
  /** Replaced by `***` in everything that leaves a handler. */
  readonly masked: readonly string[];
}

/** A StepFailure in transit. */
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
  /** Null: heartbeats are not expected. */
  readonly heartbeatTimeoutMs: number | null;
  readonly special: boolean;
}

export type ToHost =
  | ({ readonly kind: 'setup' } & HostSetup)
  | RunRequest
  | { readonly kind: 'abort'; readonly id: number; readonly reason: WireFailure }
  /** Reply to a call: its value is in the body, or the call failed. */
  | {
      readonly kind: 'reply';
      readonly call: number;
      readonly special: boolean;
      readonly failure: WireFailure | null;
    }
  | { readonly kind: 'ping' }
  | { readonly kind: 'close' };

/** The end of a handler. */
export type HostedEnd =
  /** The body is the output, as stored. */
  | { readonly kind: 'completed'; readonly id: number; readonly routes: readonly string[] | null }
  /** The body is the state, and what is waited for. */
  | { readonly kind: 'parked'; readonly id: number; readonly pause: Pause | null }
  | { readonly kind: 'failed'; readonly id: number; readonly failure: WireFailure; readonly stack: string }
  /** An error other than a StepFailure. */
  | {
      readonly kind: 'threw';
      readonly id: number;
      readonly name: string;
      readonly message: string;
      readonly stack: string;
    }
  /** The handler gave up for the given reason. */
  | { readonly kind: 'aborted'; readonly id: number };

export type FromHost =
  | HostedEnd
  | { readonly kind: 'ready' }
  /** The host cannot run anything. */
  | { readonly kind: 'broken'; readonly message: string }
  | { readonly kind: 'pong' }
  /** Their handlers are about to be called. */
  | { readonly kind: 'begun'; readonly ids: readonly number[] }
  /** Its handler is alive. */
  | { readonly kind: 'beat'; readonly id: number }
  | {
      readonly kind: 'log';
      readonly id: number;
      readonly level: 'info' | 'warn' | 'error';
      readonly message: string;
      readonly fields: JsonObject | null;
    }
  /** Calls to the engine; the body is the value to evaluate, the turn, or the input. */
  | { readonly kind: 'evaluate'; readonly id: number; readonly call: number }
  | { readonly kind: 'turn'; readonly id: number; readonly call: number; readonly number: number }
  | {
      readonly kind: 'script';
      readonly id: number;
      readonly call: number;
      readonly code: string;
      readonly timeoutMs: number;
      readonly memoryBytes: number;
    }
  | { readonly kind: 'abort-call'; readonly id: number; readonly call: number };

/** Most bytes that a host may send besides an output. */
export const MAX_CALL_BYTES = 64 * 1024 * 1024;
const MAX_MESSAGE_LENGTH = 20_000;
const MAX_STACK_LENGTH = 10_000;
const MAX_CAUSES = 5;

/** Least time between two heartbeats: the host drops those that come sooner. */
export function heartbeatPauseMs(heartbeatTimeoutMs: number): number {
  return Math.min(1_000, heartbeatTimeoutMs / 10);
}

/** Decoded by readResults of expression/sandbox/wire.ts. */
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

/** Like `encodeValues`, for values from JSON. */
export function encodePlain(values: readonly Json[]): { text: string; special: boolean } {
  return { text: JSON.stringify(values.map((value) => [value])), special: false };
}

function writable(value: unknown): unknown {
  if (typeof value === 'number' && !Number.isFinite(value)) return `\0${value}`;
  return typeof value === 'string' && value.startsWith('\0') ? `\0${value}` : value;
}

/** @param details in a form that can be stored */
export function wireFailure(failure: StepFailure, details: Json): WireFailure {
  const { code, retryable, retryAfterMs } = failure;
  return { code: String(code), message: messageOf(failure), retryable, retryAfterMs, details };
}

export function stepFailure({ code, message, retryable, retryAfterMs, details }: WireFailure): StepFailure {
  const wait = retryAfterMs === null ? {} : { retryAfterMs };
  return new StepFailure(code, message, { retryable, details, ...wait });
}

/** Returns the message of any thrown value, including hostile ones. */
export function messageOf(thrown: unknown): string {
  try {
    const text = thrown instanceof Error ? String(thrown.message || thrown.name) : String(thrown);
    return cutText(text, MAX_MESSAGE_LENGTH);
  } catch {
    return `a value of type ${typeof thrown} that cannot be written as text`;
  }
}

/** Returns the stack of any thrown value, with its causes, as text for the log; empty: none. */
export function stackOf(thrown: unknown): string {
  const stacks: string[] = [];
  try {
    for (let error = thrown; error instanceof Error && stacks.length < MAX_CAUSES; error = error.cause)
      stacks.push(String(error.stack));
  } catch {
    // Reading a hostile value threw.
  }
  return cutText(stacks.join('\ncaused by: '), MAX_STACK_LENGTH);
}

/** Gives an error from another process the stack it had there. */
export function withStack<E extends Error>(error: E, stack: string): E {
  error.stack = stack === '' ? `${error.name}: ${error.message}` : stack;
  return error;
}
