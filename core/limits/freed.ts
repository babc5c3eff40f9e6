/**
 * Which changes of a plan free a slot of `concurrency`, so that something that is held back may start.
 */
import type { Plan, StepChange } from '../plan.ts';
import type { TemplateStep } from '../template.ts';

export function hasLimits({ concurrency, rateLimit }: TemplateStep): boolean {
  return concurrency !== null || rateLimit !== null;
}

/** Returns whether a plan may free a slot. */
export function freesLimit({ view, steps }: Plan): boolean {
  for (const [slot, change] of steps) if (freesSlot(view.graph.steps[slot]!, change)) return true;
  return false;
}

/** Returns whether a step with limits runs no more, or is a task that a worker may have had and has no more. */
export function freesSlot(step: TemplateStep, { from, state, task }: StepChange): boolean {
  if (from === null || !hasLimits(step)) return false;
  if (from.status === 'running') return state.status !== 'running';
  return step.type === 'task' && from.status === 'waiting' && (task?.claim ?? null) === null;
}
