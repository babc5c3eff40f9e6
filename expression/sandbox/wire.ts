/**
 * The messages between the engine and a sandbox process, as frame headers.
 *
 * Results travel as JSON text in the frame's body. JSON has no NaN: a number that is not finite is written as a string
 * that starts with NUL, and strings that start with NUL themselves get one more; `special` says whether there are any,
 * so that the reader need not look for them otherwise.
 */
import type { ExpressionErrorCode } from '../expression-error.ts';

export interface EvaluateRequest {
  kind: 'evaluate';
  id: number;
  /** Each is one expression; the body is the JSON text of their scope. */
  sources: readonly string[];
  timeoutMs: number;
  memoryBytes: number;
  outputBytes: number;
}

export interface ScriptRequest {
  kind: 'script';
  id: number;
  /** The body of an async function of `input`; the frame's body is the JSON text of the input. */
  code: string;
  timeoutMs: number;
  memoryBytes: number;
  outputBytes: number;
}

/** Requests the sender no longer wants here; those not begun are answered with `dropped`. */
export interface DropRequest {
  kind: 'drop';
  ids: readonly number[];
}

export type Request = EvaluateRequest | ScriptRequest | DropRequest;

export interface Failure {
  code: ExpressionErrorCode;
  message: string;
  errorName: string | null;
  line: number | null;
  sourceIndex: number | null;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export type Answer =
  | { kind: 'ready' }
  /** The body is a JSON array with one array per source: its value, or empty for undefined. */
  | { kind: 'done'; id: number; special: boolean; tired: boolean; cpuMs: number }
  | { kind: 'failed'; id: number; failure: Failure; tired: boolean; cpuMs: number }
  | { kind: 'dropped'; id: number }
  | { kind: 'log'; id: number; level: LogLevel; line: string };

/** Reads the body of a `done` answer: one value or undefined for each source. */
export function readResults(body: string, special: boolean): unknown[] {
  const results = JSON.parse(body) as unknown[][];
  return results.map(([value]) => (special ? revive(value) : value));
}

function revive(value: unknown): unknown {
  if (typeof value === 'string') return value[0] === '\0' ? reviveText(value) : value;
  if (typeof value !== 'object' || value === null) return value;
  const holder = value as Record<string, unknown>;
  for (const key of Object.keys(holder)) {
    const revived = revive(holder[key]);
    // A changed member named __proto__ must stay a member.
    if (revived !== holder[key]) Object.defineProperty(holder, key, { value: revived });
  }
  return value;
}

function reviveText(text: string): unknown {
  return text[1] === '\0' ? text.slice(1) : Number(text.slice(1));
}
