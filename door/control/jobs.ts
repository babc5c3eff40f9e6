/**
 * The jobs that a commit adds and removes.
 */
import { type Job, type JobKey, jobsOf } from '../../core/jobs.ts';
import { newId } from '../../db/uuid.ts';
import type { Capacity } from '../capacity.ts';
import type { DecidedUnit } from '../unit.ts';
import { insideOf } from './inside.ts';

export function jobsOfUnits(
  units: readonly DecidedUnit[],
  { stopGraceMs, capacity }: { readonly stopGraceMs: number; readonly capacity: Pick<Capacity, 'isKept'> },
): { add: Job[]; remove: JobKey[] } {
  const isKept = (stepId: string) => capacity.isKept(stepId);
  const add: Job[] = [];
  const remove: JobKey[] = [];
  for (const unit of units) {
    const { plan, start, loaded, tickets } = unit;
    const hasCallback = loaded.facts.callbackUrl !== null;
    const jobs = jobsOf(plan, { start: start?.row ?? null, hasCallback, stopGraceMs, isKept }, newId);
    add.push(...jobs.add);
    remove.push(...jobs.remove);
    for (const inside of insideOf(unit)) {
      const facts = { start: null, hasCallback: false, stopGraceMs, isKept };
      add.push(...jobsOf(inside, facts, newId).add);
    }
    if (tickets !== undefined) add.push(...withoutThose(tickets, jobs.add));
  }
  return { add, remove };
}

function withoutThose(jobs: readonly Job[], others: readonly Job[]): Job[] {
  const ids = new Set(others.map(({ id }) => id));
  return jobs.filter(({ id }) => !ids.has(id));
}
