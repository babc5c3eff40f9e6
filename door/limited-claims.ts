/**
 * Claims of tasks that take a slot of a limit: each is tried once under the lock.
 *
 * Its slot was granted for a moment only. When the commit finds other rows than it was decided on, the grant may be gone,
 * and no later try would find it again: the worker is told, and looks for a task anew.
 */
import type { Mail } from './actor.ts';
import type { Unit } from './unit.ts';

/** Settles such claims as late. Returns the units with their other events. */
export function withoutLimitedClaims(units: readonly Unit[]): Unit[] {
  return units.map((unit) => {
    const claims = unit.mails.filter(isLimitedClaim);
    if (claims.length === 0) return unit;
    for (const { settle } of claims) settle?.('late');
    return { ...unit, mails: unit.mails.filter((mail) => !claims.includes(mail)) };
  });
}

function isLimitedClaim({ event }: Mail): boolean {
  return event.type === 'claim_task' && event.task.isLimited;
}
