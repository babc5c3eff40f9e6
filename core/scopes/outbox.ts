/**
 * The events of a plan for other views. They are written in the plan's commit, and reach the other view in this commit
 * or a later one: no end of a scope is lost.
 */
import type { Event, ScopeEnd, ScopeFailure } from '../event.ts';
import type { Plan } from '../plan.ts';
import type { ExecutionFailure, ScopeRef } from '../view.ts';

/** An event for the view at `path` of the same execution; an empty path is the top level. */
export interface OutgoingEvent {
  readonly executionId: string;
  readonly path: string;
  readonly event: Event;
}

/** @param random in [0, 1): the jitter of the delay, if the end of a scope makes its holder be retried */
export function outboxOf({ view, end }: Plan, random: number): OutgoingEvent[] {
  const { id, scope } = view;
  if (end === null || scope === null) return [];
  const { holderSlot: slot, run, index, parentPath: path } = scope;
  const failure = end.status === 'failed' ? holderFailure(scope, end.error!) : null;
  // A scope has no timeout of its own.
  const status = end.status as ScopeEnd;
  const ends = [{ index, status, failure }];
  return [{ executionId: id, path, event: { type: 'scopes_ended', slot, run, ends, random } }];
}

/** A holder fails with code and message of the first unhandled failure inside, and says where that was. */
function holderFailure(
  { path }: ScopeRef,
  { code, message, step, details = null, retryable = false }: ExecutionFailure,
): ScopeFailure {
  return { error: { code, message, details: { scope: path, step, details } }, retryable };
}
