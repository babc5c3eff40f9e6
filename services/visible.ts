/**
 * The one rule of who sees an object: its workspace, and an admin. An object of another workspace counts as missing.
 */
import { EngineError } from '../core/problem.ts';
import type { Caller } from './caller.ts';

const MISSING = {
  execution: 'execution_not_found',
  step: 'step_not_found',
} as const;

/** @throws EngineError when there is no such object, or the caller may not see it */
export function visible<T extends { readonly workspaceId: string | null }>(
  caller: Caller,
  what: keyof typeof MISSING,
  id: string,
  found: T | null,
): T {
  if (found !== null && (caller.admin || found.workspaceId === caller.workspaceId)) return found;
  throw new EngineError(MISSING[what], `There is no ${what} ${id} in this workspace.`);
}

/** The refusal of a scope that an execution does not have. */
export function noScope(executionId: string, path: string): EngineError {
  const message = `Execution ${executionId} has no ${path}, or has not begun it.`;
  return new EngineError('scope_not_found', message);
}
