/**
 * Why a change by hand is not made. The view stays as it is.
 */
import { stepPath } from '../scopes/step-path.ts';
import type { ExecutionView } from '../view.ts';
import { type StarvingJoin, starvingJoins } from './starvation.ts';

export interface Refusal {
  readonly code: 'wrong_state' | 'not_compensated' | 'join_would_starve' | 'force_required';
  /** What was found, and what to do. */
  readonly message: string;
}

/** The path of the step in a slot: `key` or `each[3]/key`. */
export function pathOf({ scope, graph }: Pick<ExecutionView, 'scope' | 'graph'>, slot: number): string {
  return stepPath(scope?.path ?? '', graph.steps[slot]!.key);
}

/** Returns why the view may not become what a plan has made of it; null: no join would wait for ever. */
export function starvationOf(view: ExecutionView): Refusal | null {
  const joins = starvingJoins(view);
  if (joins.length === 0) return null;
  const told = joins.slice(0, MAX_TOLD).map((join) => tellOf(view, join));
  const more = joins.length > MAX_TOLD ? ` So would ${joins.length - MAX_TOLD} more steps.` : '';
  return {
    code: 'join_would_starve',
    message: `${told.join(' ')}${more} Reset these steps too, or name them in outputs or skip.`,
  };
}

const MAX_TOLD = 5;

function tellOf(view: ExecutionView, { slot, missing }: StarvingJoin): string {
  const steps = missing
    .slice(0, MAX_TOLD)
    .map((from) => `${pathOf(view, from)} (${view.steps[from]!.status})`);
  const more = missing.length > MAX_TOLD ? ` and ${missing.length - MAX_TOLD} more` : '';
  return `The step ${pathOf(view, slot)} would wait for ever for ${steps.join(', ')}${more}.`;
}
