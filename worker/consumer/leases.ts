/**
 * Timers of leases: a task whose worker fell silent is given back.
 *
 * Whether a lease is over is asked under the lock of its row: a heartbeat comes before, and the timer is set again, or after,
 * and finds that the claim is over.
 */
import { findSlot, type ViewKey } from '../../core/view.ts';
import type { Tx } from '../../db/connection/client.ts';
import { lockLeases } from '../../db/waits/tasks.ts';
import type { Mail } from '../../door/actor.ts';
import type { LoadedUnit } from '../../door/unit.ts';
import type { Work } from './round.ts';

export interface FoundLeases {
  /** Returns of tasks, by view. */
  readonly mails: ReadonlyMap<ViewKey, readonly Mail[]>;
  /** Milliseconds left of leases that were renewed, by the id of their timer. */
  readonly renewed: ReadonlyMap<string, number>;
}

const NOTHING: FoundLeases = { mails: new Map(), renewed: new Map() };

export async function findLeases(
  tx: Tx,
  units: readonly LoadedUnit[],
  byExecution: Work['byExecution'],
): Promise<FoundLeases> {
  const timers = units.flatMap((unit) =>
    byExecution.get(unit.actor.key)!.flatMap(({ job }) => {
      return job?.data.kind === 'task_lease' ? { unit, id: job.id, data: job.data } : [];
    }),
  );
  if (timers.length === 0) return NOTHING;
  const leases = await lockLeases(
    tx,
    timers.map(({ data }) => data.step_id),
  );
  const mails = new Map<ViewKey, Mail[]>();
  const renewed = new Map<string, number>();
  for (const { unit, id, data } of timers) {
    const { key } = unit.actor;
    const { view } = unit.loaded;
    const slot = findSlot(view, data.step_id);
    const lease = leases.get(data.step_id);
    if (slot === null || lease?.token !== data.token) continue;
    const { queue, losses, leftMs } = lease;
    const { status, attempt, sequence } = view.steps[slot]!;
    if (status !== 'waiting') continue;
    if (leftMs > 0) {
      renewed.set(id, leftMs);
      continue;
    }
    const random = Math.random();
    const event = { type: 'return_task', slot, attempt, sequence, queue, losses, random } as const;
    mails.set(key, [...(mails.get(key) ?? []), { event, settle: null }]);
  }
  return { mails, renewed };
}
