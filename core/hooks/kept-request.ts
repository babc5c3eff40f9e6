/**
 * A request to a hook on its way to the step: it is kept like a signal, which only this step can use.
 */
import { createHash } from 'node:crypto';
import type { JsonObject } from '../json/json.ts';

export interface KeptRequest {
  /** Tells this request from all others. */
  readonly id: string;
  /** The output of the step. */
  readonly request: JsonObject & { readonly method: string };
}

/** Returns the name of the signal that a step waits for in its scope. No signal of others has it by chance. */
export function hookSignalName(executionId: string, key: string): string {
  return hashed(`${executionId}/${key}`);
}

/** Returns the id by which the execution takes one request for a URL. */
export function hookSignalId(token: string): string {
  return hashed(token);
}

function hashed(text: string): string {
  return `webhook:${createHash('sha256').update(text).digest('base64url')}`;
}
