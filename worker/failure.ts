/**
 * Turns errors thrown in an attempt into its failure.
 */
import { errorName } from '../core/text/error-name.ts';
import { ExpressionError } from '../expression/expression-error.ts';
import { NotStorable } from '../payload/output-store.ts';
import { InputsTooLarge } from '../payload/payload-reader.ts';
import { StepFailure } from '../steps/step-type.ts';
import type { CompiledStep } from '../template/version.ts';
import type { Attempt } from './attempt.ts';
import { messageOf } from './hosts/wire.ts';
import type { Failed } from './outcome.ts';

export function failedBy(thrown: unknown, attempt: Pick<Attempt, 'abortReason'>): Failed {
  const begun = !(thrown instanceof InputsTooLarge);
  return { kind: 'failed', failure: toFailure(thrown, attempt), thrown, begun };
}

/** The failure of a guard: no attempt was made. */
export function failedByGuard(thrown: unknown, attempt: Pick<Attempt, 'abortReason'>): Failed {
  return { kind: 'failed', failure: toFailure(thrown, attempt), thrown, begun: false };
}

/** Adds the reason when an output cannot be stored because the step passes on all its inputs. */
export function explained(thrown: unknown, { type, step }: Pick<CompiledStep, 'type' | 'step'>): unknown {
  if (!(thrown instanceof NotStorable) || !type.passesInputs?.(step.with)) return thrown;
  const why = 'It is all that arrived, which is nested at every join';
  return new NotStorable(
    `${thrown.message} ${why}: give noop steps before it "with: {}", or what is read of them.`,
  );
}

/** Thrown errors are retryable by default; failed expressions and values that cannot be stored never are. */
function toFailure(thrown: unknown, { abortReason }: Pick<Attempt, 'abortReason'>): StepFailure {
  if (thrown instanceof StepFailure) return thrown;
  if (abortReason !== null) return abortReason;
  if (thrown instanceof ExpressionError || thrown instanceof NotStorable) {
    // Only a sandbox that could not be started may succeed the next time.
    const retryable = thrown.code === 'sandbox_unavailable';
    return new StepFailure(thrown.code, thrown.message, { retryable, cause: thrown });
  }
  if (thrown instanceof InputsTooLarge) {
    const { code, message, details } = thrown;
    return new StepFailure(code, message, { details, cause: thrown });
  }
  const name = errorName(thrown);
  const message = name === 'Error' ? messageOf(thrown) : `${name}: ${messageOf(thrown)}`;
  return new StepFailure('handler_failed', message, { retryable: true, cause: thrown });
}
