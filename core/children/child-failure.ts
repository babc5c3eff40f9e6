/**
 * How a step fails whose child execution has not completed.
 */
import type { ScopeFailure } from '../event.ts';
import type { ExecutionEnd } from '../plan.ts';

/** A child that has failed or timed out may do better when it is tried again; one that was cancelled is not wanted. */
const FAILURES = {
  failed: { code: 'child_failed', what: 'has failed', retryable: true },
  timed_out: { code: 'child_timed_out', what: 'has timed out', retryable: true },
  cancelled: { code: 'child_cancelled', what: 'was cancelled', retryable: false },
} as const;

/** Returns null when the child has completed. */
export function childFailure(childId: string, { status, error }: ExecutionEnd): ScopeFailure | null {
  if (status === 'completed') return null;
  const { code, what, retryable } = FAILURES[status];
  const because = error === null ? '' : `: ${error.message}`;
  const shown = error === null ? null : { code: error.code, message: error.message, step: error.step };
  return {
    error: {
      code,
      message: `The child execution ${childId} ${what}${because}`,
      details: { execution_id: childId, error: shown },
    },
    retryable,
  };
}

/** The failure of a step that cannot take over the outputs of its child. */
export function tooLargeOutputs(childId: string, bytes: number, maxBytes: number): ScopeFailure {
  const message = `The outputs of the child execution ${childId} have ${bytes} bytes; EXECUTION_ENGINE_MAX_OUTPUT_BYTES allows ${maxBytes}. Give its definition an output.`;
  return {
    error: { code: 'output_not_storable', message, details: { execution_id: childId, error: null } },
    retryable: false,
  };
}
