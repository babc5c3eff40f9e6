/**
 * The events of a plan for other views. They are written in the plan's commit, and reach the other view in this commit
 * or a later one: no end of a scope is lost.
 */
import type { ScopeEnd, ScopeFailure, ScopesEnded, ScopesUndone } from '../event.ts';
import type { Plan } from '../plan.ts';
import { type ExecutionFailure, type ScopeRef, type ViewKey, viewKey } from '../view.ts';
import { failedResult } from './list-size.ts';

export interface OutgoingEvent {
  /** The view that gets it, of the same execution. */
  readonly key: ViewKey;
  readonly event: ScopesEnded | ScopesUndone;
}

/**
 * @param outputs of a scope that the plan completes, as JSON text
 * @param random in [0, 1): the jitter of the delay, if the end of a scope makes its holder be retried
 */
export function outboxOf(
  { view, fromStatus, end }: Plan,
  outputs: string | null,
  random: number,
): OutgoingEvent[] {
  const { id, scope } = view;
  if (end === null || scope === null) return [];
  const { holderSlot: slot, run, index, around } = scope;
  const key = viewKey(id, around);
  if (fromStatus === 'compensating') return [{ key, event: { type: 'scopes_undone', slot, count: 1 } }];
  const failure = end.status === 'failed' ? holderFailure(scope, end.error!) : null;
  // A scope has no timeout of its own.
  const status = end.status as ScopeEnd;
  const result = end.error === null ? (outputs ?? 'null') : failedResult(end.error);
  const ends = [{ index, status, failure, bytes: Buffer.byteLength(result) }];
  return [{ key, event: { type: 'scopes_ended', slot, run, ends, random } }];
}

/** A holder fails with code and message of the first unhandled failure inside, and says where that was. */
function holderFailure(
  { path }: ScopeRef,
  { code, message, step, details = null, retryable = false }: ExecutionFailure,
): ScopeFailure {
  return { error: { code, message, details: { scope: path, step, details } }, retryable };
}
