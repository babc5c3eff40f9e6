/**
 * Who has paused executions, as plans change it.
 */
import type { Plan } from '../../core/plan.ts';
import type { Pause } from '../../core/view.ts';
import type { Statement } from '../statement.ts';
import { setPause } from './pause.ts';

export interface HoldRows {
  readonly pause: { id: string; pause: Pause | null }[];
}

export function noHold(): HoldRows {
  return { pause: [] };
}

/** Adds the rows of a plan of the top level, which has changed the execution's row. */
export function collectHold({ view, fromStatus, pausing }: Plan, rows: HoldRows): void {
  const { id, status, pause } = view;
  if (pausing || (fromStatus === 'paused' && status !== 'paused')) rows.pause.push({ id, pause });
}

/** @param at see db/clock.ts */
export function holdStatements({ pause }: HoldRows, at: string | null): Statement[] {
  return pause.length > 0 ? [setPause(pause, at)] : [];
}
