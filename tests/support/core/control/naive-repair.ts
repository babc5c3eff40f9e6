/**
 * The effects that a retry must have on a flat execution, found in the slow way: from the definition alone, by trying rules until nothing changes.
 */
import type { StepStatus } from '../../../../core/status.ts';
import type { Template, TemplateStep } from '../../../../core/template.ts';

export interface NaiveStep {
  status: StepStatus;
  routes: readonly string[] | null;
  byHand: boolean;
}

export interface NaiveRequest {
  readonly from: string | null;
  readonly only: string | null;
  /** Routes of completed steps, by key. */
  readonly outputs: ReadonlyMap<string, readonly string[] | null>;
  readonly skip: ReadonlySet<string>;
}

export type NaiveAnswer =
  | { readonly refused: 'wrong_state' | 'join_would_starve' }
  | { readonly steps: ReadonlyMap<string, NaiveStep> };

type Edge = 'open' | 'live' | 'dead';
const FINAL: ReadonlySet<string> = new Set(['completed', 'failed', 'skipped', 'cancelled']);

export function naiveRepair(
  template: Template,
  execution: string,
  before: ReadonlyMap<string, NaiveStep>,
  { from, only, outputs, skip }: NaiveRequest,
): NaiveAnswer {
  const isOver = FINAL.has(execution) || execution === 'timed_out';
  if (!isOver || (execution === 'completed' && from === null && only === null))
    return { refused: 'wrong_state' };
  const named = [...outputs.keys(), ...skip];
  if (named.some((key) => !['failed', 'cancelled'].includes(before.get(key)!.status)))
    return { refused: 'wrong_state' };
  const skippedByJoin = template.steps.filter(
    (step) =>
      before.get(step.key)!.status === 'skipped' &&
      !before.get(step.key)!.byHand &&
      decide(step, before) === 'skip',
  );
  const steps = new Map([...before].map(([key, step]) => [key, { ...step }]));
  for (const key of resets(template, before, from, only)) steps.set(key, fresh());
  for (const key of named) steps.set(key, fresh());
  for (let changed = true; changed; ) {
    changed = false;
    for (const step of skippedByJoin) {
      if (steps.get(step.key)!.status !== 'skipped' || decide(step, steps) === 'skip') continue;
      steps.set(step.key, fresh());
      changed = true;
    }
  }
  for (const [key, routes] of outputs) steps.set(key, { status: 'completed', routes, byHand: true });
  for (const key of skip) steps.set(key, { status: 'skipped', routes: null, byHand: true });
  for (let changed = true; changed; ) {
    changed = false;
    for (const step of template.steps) {
      const state = steps.get(step.key)!;
      if (state.status !== 'waiting_inputs') continue;
      const decision = decide(step, steps);
      if (decision === 'wait') continue;
      state.status = decision === 'fire' ? 'queued' : 'skipped';
      changed = true;
    }
  }
  const starves = template.steps.some(
    (step) =>
      steps.get(step.key)!.status === 'waiting_inputs' &&
      step.edges.some((edge) => edgeOf(edge, steps) === 'open' && FINAL.has(steps.get(edge.from)!.status)),
  );
  return starves ? { refused: 'join_would_starve' } : { steps };
}

function fresh(): NaiveStep {
  return { status: 'waiting_inputs', routes: null, byHand: false };
}

function resets(
  template: Template,
  before: ReadonlyMap<string, NaiveStep>,
  from: string | null,
  only: string | null,
): string[] {
  if (from !== null) return [from, ...after(template, from)];
  if (only !== null)
    return [only, ...after(template, only).filter((key) => before.get(key)!.status !== 'completed')];
  return template.steps
    .filter(({ key }) => {
      const { status } = before.get(key)!;
      return status === 'cancelled' || (status === 'failed' && !isHandled(template, key));
    })
    .map(({ key }) => key);
}

/** All steps with a path from a step. */
function after(template: Template, key: string): string[] {
  const direct = template.steps.filter(({ edges }) => edges.some((edge) => edge.from === key));
  return [...new Set(direct.flatMap((step) => [step.key, ...after(template, step.key)]))];
}

/** Returns whether a failure of the step makes an edge live. */
export function isHandled({ steps }: Template, key: string): boolean {
  return steps.some(({ edges }) =>
    edges.some((edge) => edge.from === key && edge.conditions.some(({ on }) => on !== 'success')),
  );
}

function edgeOf(
  { from, conditions }: TemplateStep['edges'][number],
  steps: ReadonlyMap<string, NaiveStep>,
): Edge {
  const { status, routes } = steps.get(from)!;
  if (!FINAL.has(status) || status === 'cancelled') return 'open';
  if (status === 'skipped') return 'dead';
  const isLive = conditions.some(({ on, routes: wanted }) => {
    if (on === 'always') return true;
    if (on === 'failure' || status === 'failed') return on === 'failure' && status === 'failed';
    return wanted === null || wanted.some((route) => routes?.includes(route));
  });
  return isLive ? 'live' : 'dead';
}

function decide(
  { join, edges }: TemplateStep,
  steps: ReadonlyMap<string, NaiveStep>,
): 'fire' | 'skip' | 'wait' {
  if (edges.length === 0) return 'fire';
  const all = edges.map((edge) => edgeOf(edge, steps));
  const live = all.filter((edge) => edge === 'live').length;
  const open = all.filter((edge) => edge === 'open').length;
  if (join === 'all') return open > 0 ? 'wait' : live > 0 ? 'fire' : 'skip';
  if (live >= join) return 'fire';
  return live + open < join ? 'skip' : 'wait';
}
