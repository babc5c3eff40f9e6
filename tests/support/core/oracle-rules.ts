/**
 * The rules of the oracle: what one step's account, or one join's edges, come to.
 */
import type { EdgeCondition, Template, TemplateStep } from '../../../core/template.ts';
import type { OracleEdge, OracleStatus } from './facts.ts';

/** What a step has told so far; everything else is worked out. */
export interface Account {
  /** `cancelled`: it has lost a race. */
  end: 'completed' | 'failed' | 'skipped' | 'cancelled' | null;
  routes: readonly string[] | null;
  place: 'queued' | 'running' | 'waiting' | 'retrying';
  attempts: number;
  retries: number;
  /** The attempt was parked: the next claim goes on with it. */
  goesOn: boolean;
  /** It waits for scopes of its own, which a stop gives time to end. */
  holds: boolean;
  /** The commit in which it ended. */
  commit: number;
  /** It was cancelled with its execution, and not before. */
  cutOff: boolean;
  /** It has opened scopes. */
  opened: boolean;
}

/** A step that undoes another one. */
export interface Undo {
  of: string;
  /** Of the step that it undoes, in the definition. */
  position: number;
  step: TemplateStep;
}

export const FRESH: Account = {
  end: null,
  routes: null,
  place: 'queued',
  attempts: 0,
  retries: 0,
  goesOn: false,
  holds: false,
  commit: 0,
  cutOff: false,
  opened: false,
};

/** Section 2, one sentence each. */
export function edgeAfter(
  producer: OracleStatus,
  conditions: readonly EdgeCondition[],
  { routes, end }: Account,
): OracleEdge {
  if (producer === 'skipped' || end === 'cancelled') return 'dead';
  if (producer !== 'completed' && producer !== 'failed') return 'open';
  const live = conditions.some((condition) => {
    if (condition.on === 'always') return true;
    if (condition.on === 'failure') return producer === 'failed';
    if (producer === 'failed') return false;
    return condition.routes === null || condition.routes.some((route) => routes?.includes(route) === true);
  });
  return live ? 'live' : 'dead';
}

/** The table of section 2. */
export function joinAfter(
  step: TemplateStep,
  edges: readonly OracleEdge[],
): 'starts' | 'is skipped' | 'waits' {
  if (edges.length === 0) return 'starts';
  const live = edges.filter((edge) => edge === 'live').length;
  const open = edges.filter((edge) => edge === 'open').length;
  if (step.join === 'all') {
    if (open > 0) return 'waits';
    return live > 0 ? 'starts' : 'is skipped';
  }
  if (live >= step.join) return 'starts';
  return live + open < step.join ? 'is skipped' : 'waits';
}

export function statusAfter(
  step: TemplateStep,
  edges: readonly OracleEdge[],
  account: Account,
): OracleStatus {
  if (account.end === 'cancelled') return 'cancelled';
  const join = joinAfter(step, edges);
  if (join === 'is skipped') return 'skipped';
  if (join === 'waits') return edges.some((edge) => edge !== 'open') ? 'waiting_inputs' : 'absent';
  return account.end ?? account.place;
}

/** A failure is handled when a `failure` or `always` edge of it is live, whatever the target then does. */
export function isHandled(template: Template, key: string): boolean {
  const handles = ({ on }: EdgeCondition): boolean => on === 'failure' || on === 'always';
  return template.steps.some((step) =>
    step.edges.some((edge) => edge.from === key && edge.conditions.some(handles)),
  );
}
