/**
 * Finds running steps that this engine owns by their rows but does not run: claimed by a commit whose answer was
 * lost.
 *
 * Each engine can answer only for itself.
 */
import type { Pool } from '../../db/connection/client.ts';
import { type ClaimedStep, type Offender, stepsHeldBy } from '../../db/doctor/examine.ts';
import type { Invariant } from '../../db/doctor/invariant.ts';
import type { Committer } from '../../door/committer.ts';

export const HELD_INVARIANT: Invariant = {
  name: 'running-step-unknown-to-its-owner',
  meaning: 'A running step is one that its engine knows of. The engine that is asked answers for its own.',
  advice: 'Repair it. If it comes back, please report it with the engine’s log.',
  repair: 'gives the step back: it is queued again, with no attempt counted',
  graceSeconds: 30,
};

/**
 * Reads the rows again after the handlers were checked: a step that ended in between has changed its row by then,
 * or its commit is in flight.
 */
export async function findUnknownSteps(
  pool: Pool,
  committer: Committer,
  graceSeconds: number | null,
): Promise<Offender[]> {
  const { owner } = committer.capacity;
  const grace = graceSeconds ?? HELD_INVARIANT.graceSeconds;
  const suspects = (await stepsHeldBy(pool, owner, grace)).filter((step) => isUnknown(committer, step));
  if (suspects.length === 0) return [];
  const still = new Set((await stepsHeldBy(pool, owner, grace)).map(keyOf));
  return suspects
    .filter((step) => still.has(keyOf(step)) && isUnknown(committer, step))
    .map(({ id, executionId, view, attempt }) => ({
      id,
      executionId,
      view,
      queue: null,
      detail: `running its attempt ${attempt} on engine ${owner}, which knows nothing of it`,
    }));
}

function isUnknown({ actors, capacity }: Committer, { id, view, attempt }: ClaimedStep): boolean {
  const actor = actors.find(view);
  const isMoving = actor !== undefined && (actor.busy || actor.mailbox.length > 0);
  return !isMoving && !capacity.holds(id, attempt);
}

function keyOf({ id, attempt }: ClaimedStep): string {
  return `${id} ${attempt}`;
}
