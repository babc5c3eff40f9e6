/**
 * The holds on executions, as plans change them: who has paused them, and their incidents.
 */
import { isIncident } from '../../core/hold/incident.ts';
import type { Plan } from '../../core/plan.ts';
import type { Pause } from '../../core/view.ts';
import type { Statement } from '../statement.ts';
import { closeIncidents, type OpenedIncident, openIncidents } from './incidents.ts';
import { setPause } from './pause.ts';

export interface HoldRows {
  readonly pause: { id: string; pause: Pause | null }[];
  readonly opened: OpenedIncident[];
  readonly closed: string[];
}

export function noHold(): HoldRows {
  return { pause: [], opened: [], closed: [] };
}

/** Adds the rows of a plan of the top level, which has changed the execution's row. */
export function collectHold(plan: Plan, rows: HoldRows): void {
  const { view, fromStatus, pausing } = plan;
  const { id, status, pause, graph } = view;
  if (pausing || (fromStatus === 'paused' && status !== 'paused')) rows.pause.push({ id, pause });
  if (graph.pauses === null) return;
  for (const { state, from, incident, error } of plan.steps.values()) {
    if (from !== null && isIncident(from) && !isIncident(state)) rows.closed.push(state.id);
    if (incident === null || !isIncident(state)) continue;
    const { code, message } = error!;
    rows.opened.push({ stepId: state.id, code, message, retryable: incident.retryable });
  }
}

/** @param at see db/clock.ts */
export function holdStatements({ pause, opened, closed }: HoldRows, at: string | null): Statement[] {
  return [
    ...(pause.length > 0 ? [setPause(pause, at)] : []),
    ...(closed.length > 0 ? [closeIncidents(closed)] : []),
    ...(opened.length > 0 ? [openIncidents(opened, at)] : []),
  ];
}
