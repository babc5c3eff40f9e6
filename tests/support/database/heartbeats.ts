/**
 * Time as the heartbeats of an engine count it, and as the database dates them: an engine that a busy machine keeps from
 * its work has fewer of them.
 */
import type { EngineDatabase } from '../engine.ts';

/** Returns when the engine's last heartbeat was, in seconds. */
export async function lastBeat({ pool }: EngineDatabase, engineId: string): Promise<number> {
  const { rows } = await pool.query(
    'select extract(epoch from heartbeat_at)::float8 as at from execution_engines where id = $1',
    [engineId],
  );
  return rows[0].at;
}

/** Waits for so many heartbeats from now on. Returns when the last one was, in seconds. */
export async function afterBeats(database: EngineDatabase, engineId: string, count: number): Promise<number> {
  let seconds = await lastBeat(database, engineId);
  for (let beat = 0; beat < count; beat += 1) {
    const { at } = await database.until(
      `select extract(epoch from heartbeat_at) > $2 as later, extract(epoch from heartbeat_at)::float8 as at
         from execution_engines where id = $1`,
      [engineId, seconds],
    );
    seconds = Number(at);
  }
  return seconds;
}

/** Waits until the engine judges every peer by its silence: in its first seconds it leaves them time to come back. */
export async function mayJudge(database: EngineDatabase, engineId: string): Promise<void> {
  await database.until('select settled_at <= now() from execution_engines where id = $1', [engineId]);
}
