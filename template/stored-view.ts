/**
 * The view of an execution, rebuilt from its rows and its template's version.
 */
import { EngineError } from '../core/problem.ts';
import { type ExecutionRow, type ExecutionView, loadView } from '../core/view.ts';
import type { LoadedStep } from '../db/workflow-step-execution.ts';
import type { TemplateVersion } from './version.ts';

/** @throws EngineError when the rows do not match the definition */
export function viewOf(
  version: TemplateVersion,
  { id, status, sequence, stopRequested, failure }: ExecutionRow,
  steps: readonly LoadedStep[],
): ExecutionView {
  const rows = steps.map((step) => {
    const position = version.positions.get(step.stepTemplateId);
    if (position !== undefined) return { ...step, position };
    throw new EngineError('wrong_state', `Step ${step.id} of execution ${id} belongs to another template.`);
  });
  return loadView({ id, status, sequence, stopRequested, failure }, version.graph, rows);
}
