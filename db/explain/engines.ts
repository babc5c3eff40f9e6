/**
 * Reads the engines as they are judged.
 */
import type { EngineFacts } from '../../core/explain/reason.ts';
import type { Db } from '../connection/client.ts';
import { BY_HEARTBEAT, LATE_MS, SILENT_MS, type SignsOfLife } from '../engine-alive.ts';

export interface ListedEngine extends EngineFacts {
  readonly role: string;
  readonly version: string;
  readonly startedAt: number;
  /** The database's time of the reading. */
  readonly nowMs: number;
}

const MAX_ENGINES = 1_000;
/** A heartbeat is missing when none has come for this time. */
const MISSED_MS = LATE_MS + 800;

/**
 * Returns the engines of which there is a row, by their ids. They stay on the list for a while after their death.
 * @param after the id before the first one; left out: from the beginning
 */
export async function readEngines(
  db: Db,
  { engineIsAlive, leaseIsHeld }: SignsOfLife = BY_HEARTBEAT,
  { after = null, limit = MAX_ENGINES }: { readonly after?: string | null; readonly limit?: number } = {},
): Promise<ListedEngine[]> {
  const { rows } = await db.query(
    `select p.id, p.role, p.host, p.pid, p.version, p.capacity, p.running_count, p.step_types,
            extract(epoch from p.started_at) * 1000 as started, extract(epoch from p.heartbeat_at) * 1000 as heard,
            extract(epoch from now()) * 1000 as now, p.has_lease and not ${leaseIsHeld('p')} as has_lost_lease,
            ${engineIsAlive('p')} as is_alive
       from execution_engines p
      where p.id > $1 or $1::uuid is null
      order by p.id limit $2`,
    [after, limit],
  );
  return rows.map((row) => {
    const heardAt = Math.floor(Number(row.heard));
    const nowMs = Math.floor(Number(row.now));
    const isLate = !row.is_alive || nowMs - heardAt > MISSED_MS;
    return {
      id: row.id,
      role: row.role,
      host: row.host,
      pid: row.pid,
      version: row.version,
      capacity: row.capacity,
      used: row.running_count,
      stepTypes: row.step_types,
      startedAt: Math.floor(Number(row.started)),
      heardAt,
      isAlive: row.is_alive,
      isLate,
      deadAt: heardAt + (row.has_lost_lease ? LATE_MS : SILENT_MS),
      nowMs,
    };
  });
}
