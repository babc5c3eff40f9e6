/**
 * What follows from one execution's share of a commit: its handlers begin, its starters and senders hear, and an
 * execution that is over is forgotten.
 */
import { isFinalExecution } from '../core/status.ts';
import type { JsonPayload } from '../payload/json-payload.ts';
import { isUnderWay } from './actor.ts';
import type { ActorTable } from './actors.ts';
import type { Claims } from './slots.ts';
import type { Unit } from './unit.ts';

export function followCommit({ actor, plan, mails }: Unit, actors: ActorTable, claims: Claims): void {
  actors.free(actor);
  if (actor.held.length > 0) claims.offer(actor, actor.held.splice(0));
  for (const [position, change] of plan!.steps) {
    if (change.output !== null) actor.kept.set(position, change.output as JsonPayload);
    if (change.error !== null) actor.errors.set(position, change.error);
    if (change.received !== null && change.state.status !== 'skipped')
      actor.received.set(position, change.received);
  }
  if (plan!.aborted.length > 0) claims.abort(plan!.aborted, plan!.end === null);
  for (const [position, { claimed, state }] of plan!.steps) {
    if (!claimed || state.owner === null) continue;
    const { attempt, owner, sequence } = state;
    claims.begin(actor, position, state.id, { attempt, owner, sequence });
  }
  if (actor.weight > 0 && (plan!.end !== null || !isUnderWay(actor))) claims.dismiss(actor);
  const late = new Set(plan!.late);
  for (const { event, settle } of mails) settle?.(late.has(event) ? 'late' : 'applied');
  const { status } = plan!.view;
  const gone = status === 'pending' || isFinalExecution(status);
  if (gone) actors.drop(actor);
}
