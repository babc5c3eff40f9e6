/**
 * The child executions that a plan leaves behind: nobody waits for their end any more, so they must end too.
 *
 * A child that is not waited for is never left behind: it goes its own way from the start.
 */
import type { Plan, StartedChild } from '../plan.ts';

/** `stop`: running handlers get grace time. `cancel`: they end at once. */
export type HowToEnd = 'stop' | 'cancel';

export interface LeftChildren {
  readonly how: HowToEnd;
  /** All children of the execution, those of its scopes too; otherwise those of `slots`. */
  readonly isAll: boolean;
  readonly slots: readonly number[];
}

/**
 * Returns the children that the plan leaves behind; null: none.
 * @param waitsForChild whether the step in a slot waits for a child whenever it is `waiting`
 */
export function leftChildren(plan: Plan, waitsForChild: (slot: number) => boolean): LeftChildren | null {
  const { view, cancelled } = plan;
  const how = howToEnd(plan);
  const isAll = view.scope === null && (cancelled || winds(plan));
  if (isAll) return plan.fromStatus === 'pending' ? null : { how, isAll, slots: [] };
  const slots: number[] = [];
  for (const [slot, { from, state, endedChild }] of plan.steps) {
    if (from?.status !== 'waiting' || state.status === 'waiting' || endedChild !== null) continue;
    if (waitsForChild(slot)) slots.push(slot);
  }
  return slots.length === 0 ? null : { how, isAll: false, slots };
}

/** A stop, a failure and a timeout of the execution stop its children; whatever ends a single step cancels them. */
export function howToEnd(plan: Plan): HowToEnd {
  return !plan.cancelled && winds(plan) ? 'stop' : 'cancel';
}

/** Returns whether the plan stops the execution, fails it or times it out, also where something is to be undone first. */
function winds({ stopping, compensating, end }: Plan): boolean {
  return stopping || compensating || end?.status === 'failed' || end?.status === 'timed_out';
}

/** Returns the children that the plan starts: a step that ends in the plan in which it was parked starts none. */
export function startedChildren({ view, children }: Plan): readonly StartedChild[] {
  if (children === null) return NONE;
  return children.filter(({ slot, attempt, isAwaited }) => {
    const { status, attempt: now } = view.steps[slot]!;
    return !isAwaited || (status === 'waiting' && now === attempt);
  });
}

const NONE: readonly StartedChild[] = Object.freeze([]);
