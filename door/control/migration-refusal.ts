/**
 * Why an execution does not move to another version.
 */
import type { Misfit } from '../../core/control/migrate.ts';
import { EngineError, pointerSegment } from '../../core/problem.ts';
import type { ExecutionView } from '../../core/view.ts';
import type { TemplateVersion } from '../../template/version.ts';

/** Most steps that one refusal names. */
const MAX_NAMED = 100;

/** Null: an execution in this state may move. */
export function refusalOfState({
  id,
  status,
  stopRequested,
}: Pick<ExecutionView, 'id' | 'status' | 'stopRequested'>): EngineError | null {
  const isOpen = status === 'pending' || status === 'running' || status === 'paused';
  if (isOpen && stopRequested === null) return null;
  const state = isOpen ? 'being stopped' : status;
  return new EngineError(
    'wrong_state',
    `Execution ${id} is ${state}; only one that is pending, running or paused moves to another version.`,
  );
}

export function cannotMigrate(
  id: string,
  { name, version }: Pick<TemplateVersion, 'name' | 'version'>,
  misfits: readonly Misfit[],
): EngineError {
  const problems = misfits
    .slice(0, MAX_NAMED)
    .map(({ code, step, message }) => ({ pointer: `/map${pointerSegment(step)}`, code, message }));
  const count = misfits.length === 1 ? '1 step does' : `${misfits.length} steps do`;
  const message = `Execution ${id} cannot move to version ${version} of ${name}: ${count} not fit. ${problems[0]!.message}`;
  return new EngineError('cannot_migrate', message, problems);
}
