/**
 * Logs errors thrown by handlers, for their author: the log has the stack, which is stored nowhere.
 *
 * An unexpected error is logged at `info`, a StepFailure at `debug`. The engine's own failures (a timeout, an
 * expression that failed) have no helpful stack.
 */
import { ExpressionError } from '../expression/expression-error.ts';
import { NotStorable } from '../payload/output-store.ts';
import { InputsTooLarge } from '../payload/payload-reader.ts';
import { StepFailure } from '../steps/step-type.ts';
import type { Log } from '../telemetry/log.ts';
import type { Attempt } from './attempt.ts';
import { messageOf, withStack } from './hosts/wire.ts';

export function logThrown(
  log: Log,
  step: { readonly key: string; readonly type: string },
  attempt: Pick<Attempt, 'abortReason' | 'claim' | 'execution'>,
  thrown: unknown,
): void {
  if (thrown === attempt.abortReason || isOfTheEngine(thrown)) return;
  const level = thrown instanceof StepFailure ? 'debug' : 'info';
  if (!log.isLevelEnabled(level)) return;
  const { id: execution, template, version } = attempt.execution;
  const err = thrown instanceof Error ? thrown : withStack(new Error(messageOf(thrown)), '');
  const { key, type } = step;
  log[level](
    { execution, template, version, step: key, attempt: attempt.claim.attempt, type, err },
    'A handler threw',
  );
}

function isOfTheEngine(thrown: unknown): boolean {
  return (
    thrown instanceof ExpressionError || thrown instanceof NotStorable || thrown instanceof InputsTooLarge
  );
}
