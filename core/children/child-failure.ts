/**
 * How a step fails whose child execution has not completed.
 */
import type { ScopeFailure } from '../event.ts';
import type { ExecutionEnd } from '../plan.ts';
import type { ExecutionFailure } from '../view.ts';

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
  const because = error === null ? '' : causeOf(error);
  const shown = error === null ? null : { code: error.code, message: error.message, step: error.step };
  return {
    error: {
      code,
      message: `${PREFIX}${childId} ${what}${because}`,
      details: { execution_id: childId, error: shown },
    },
    retryable,
  };
}

const PREFIX = 'The child execution ';
/** The message of such a failure: the child, those below it that failed before, and the innermost cause. */
const NESTED = new RegExp(
  `^${PREFIX}(\\S+) (?:has failed|has timed out|was cancelled)(?:, through (\\S+(?: > \\S+)*))?: (.*)$`,
  's',
);
/** Children that a message names, from both ends of the way to the cause; those between them are left out. */
const MAX_NAMED = 4;
const LEFT_OUT = '…';

/** Returns the rest of a message. Of children in children it names the way, and the innermost cause alone. */
function causeOf({ code, message }: ExecutionFailure): string {
  const nested = isOfChild(code) ? NESTED.exec(message) : null;
  if (nested === null) return `: ${message}`;
  const [, child, below, cause] = nested;
  const way = [child!, ...(below === undefined ? [] : below.split(' > '))];
  return `, through ${shortened(way).join(' > ')}: ${cause}`;
}

function shortened(way: readonly string[]): readonly string[] {
  if (way.length <= MAX_NAMED) return way;
  const named = way.filter((one) => one !== LEFT_OUT);
  return [...named.slice(0, MAX_NAMED / 2), LEFT_OUT, ...named.slice(-MAX_NAMED / 2)];
}

function isOfChild(code: string): boolean {
  return Object.values(FAILURES).some((failure) => failure.code === code);
}

/** Returns the innermost cause that the message of a failed child tells; the message itself of any other failure. */
export function innermostCause({ code, message }: Pick<ExecutionFailure, 'code' | 'message'>): string {
  return (isOfChild(code) ? NESTED.exec(message)?.[3] : undefined) ?? message;
}

/** The failure of a step that cannot take over the outputs of its child. */
export function tooLargeOutputs(childId: string, bytes: number, maxBytes: number): ScopeFailure {
  const message = `The outputs of the child execution ${childId} have ${bytes} bytes; EXECUTION_ENGINE_MAX_OUTPUT_BYTES allows ${maxBytes}. Give its definition an output.`;
  return {
    error: { code: 'output_not_storable', message, details: { execution_id: childId, error: null } },
    retryable: false,
  };
}
