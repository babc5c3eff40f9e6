/**
 * The size of the list that the results of a holder's scopes make together. It is counted as they end: a list that gets too
 * large is noticed before it is put together, and before more scopes are opened for nothing.
 */
import type { Json } from '../json/json.ts';

/** Bytes, as JSON with the comma after each result. */
export interface ListSize {
  readonly max: number;
  completed: number;
  /** Of failed scopes of this run: a later run replaces them. */
  failed: number;
}

interface ScopeError {
  readonly code: string;
  readonly message: string;
  readonly details?: Json;
}

/** Returns what stands in the list for a scope that did not complete. */
export function failedResult({ code, message, details = null }: ScopeError): string {
  return JSON.stringify({ error: { code, message, details } });
}

interface End {
  readonly status: 'completed' | 'failed' | 'cancelled';
  readonly bytes?: number;
}

export function countBytes(list: ListSize | undefined, ends: readonly End[]): void {
  if (list === undefined) return;
  for (const { status, bytes = 0 } of ends) if (status !== 'cancelled') list[status] += bytes + 1;
}

/** Returns the failure of a holder whose results are too large together; null: they are not. */
export function listFailure(list: ListSize | undefined) {
  if (list === undefined || list.completed + list.failed + 1 <= list.max) return null;
  return {
    error: { code: 'output_not_storable', message: tooLarge(list.max), details: null },
    retryable: false,
  };
}

export function tooLarge(maxBytes: number): string {
  return `The results together have more than ${maxBytes} bytes (EXECUTION_ENGINE_MAX_OUTPUT_BYTES). Give collect: summary: the output then has their numbers, and each result stays with its scope.`;
}
