/**
 * Log lines that events bring from their handlers: they are kept with the attempt, in the commit of the event.
 */
import type { Event } from '../event.ts';
import type { Plan } from '../plan.ts';
import { lateResults } from '../races/late-result.ts';

export interface AttemptLogs {
  readonly stepId: string;
  readonly attempt: number;
  /** Of the transition with which they are kept. */
  readonly sequence: number;
  /** JSON text of a list. */
  readonly lines: string;
}

/** Returns the log lines of events that a plan has applied, or keeps as late results. */
export function logsOf(plan: Plan, mails: readonly { readonly event: Event }[]): readonly AttemptLogs[] {
  let logs: AttemptLogs[] | null = null;
  for (const { event } of mails) {
    if (!('logs' in event) || event.logs === undefined) continue;
    const state = plan.view.steps[event.slot];
    const { attempt, stepId = state?.id } = event.claim;
    const isLate = plan.late.includes(event);
    const isKept = !isLate || lateResults(plan).some((late) => late.event === event);
    if (!isKept || state === undefined || stepId === undefined) continue;
    const sequence = isLate ? state.sequence : plan.view.sequence;
    logs ??= [];
    logs.push({ stepId, attempt, sequence, lines: event.logs.json });
  }
  return logs ?? NONE;
}

const NONE: readonly AttemptLogs[] = [];
