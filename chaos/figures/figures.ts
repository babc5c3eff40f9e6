/**
 * Figures of the faults from the records of the witness: the kills that hit a running step, and the time until it ran
 * again.
 */
import type { Pool } from '../../db/connection/client.ts';
import type { Violations } from '../violations.ts';
import { type Durations, durationsOf } from './durations.ts';
import { type RecoveredStep, type RecoveryParts, readRecoveryParts } from './recovery-parts.ts';
import { readTakenFromHealthy, type TakenAttempt } from './taken-attempts.ts';

export interface Figures {
  /** Kills of an engine while a handler was at work in it. */
  readonly killsThatHit: number;
  /** Pauses of an engine in which others took its steps over. */
  readonly pausesThatHit: number;
  /** Steps that were running in an engine when it was killed. */
  readonly stepsHit: number;
  readonly recovery: Recovery;
  readonly takenFromHealthy: readonly TakenAttempt[];
}

/** For each step that was hit; null: there was none. */
export interface Recovery {
  /** From the kill to the first effect of the step's next attempt. */
  readonly ofKills: Durations | null;
  /** The same without those between whose kill and effect the database was struck. */
  readonly ofKillsAlone: Durations | null;
  /** The parts of the time from the kill to the effect. */
  readonly parts: RecoveryParts | null;
  /** From the pause to the first effect of the next attempt on another engine, while the pause lasts. */
  readonly ofPauses: Durations | null;
}

const HITS = `
  select f.position as fault, f.from_at, e.step_id, e.attempt
    from chaos_faults f join chaos_effects e on e.engine = f.engine
   where f.kind = 'kill' and e.busy_ms > 0
     and e.at <= f.from_at and e.at + e.busy_ms * interval '1 millisecond' > f.from_at`;

export interface FigureSources {
  readonly witness: Pool;
  /** Of the engines' database, which has the transitions. */
  readonly admin: Pool;
  /** Has the logs of the engines. */
  readonly folder: string;
}

export async function readFigures(sources: FigureSources): Promise<Figures> {
  const { witness } = sources;
  const { rows: hits } = await witness.query(
    `select count(distinct fault)::integer as kills, count(distinct step_id)::integer as steps from (${HITS}) hits`,
  );
  return {
    killsThatHit: hits[0].kills,
    pausesThatHit: await countPausesThatHit(witness),
    stepsHit: hits[0].steps,
    recovery: await readRecovery(sources),
    takenFromHealthy: await readTakenFromHealthy(witness, sources.admin),
  };
}

interface RecoveredRow extends RecoveredStep {
  readonly ms: number;
  /** The database was struck meanwhile. */
  readonly struck: boolean;
}

async function readRecovery({ witness, admin, folder }: FigureSources): Promise<Recovery> {
  const { rows } = await witness.query<RecoveredRow>(
    `select r.*, extract(epoch from r."effectAt" - r."killedAt")::float8 * 1000 as ms,
            exists (select 1 from chaos_faults d
                     where d.kind in ('db-kill', 'db-restart')
                       and d.from_at < r."effectAt" and d.to_at > r."killedAt") as struck
       from (select distinct on (h.fault, h.step_id)
                    h.step_id as "stepId", h.attempt, next.attempt as "nextAttempt",
                    h.from_at as "killedAt", next.at as "effectAt"
               from (${HITS}) h join chaos_effects next on next.step_id = h.step_id and next.attempt > h.attempt
              where next.at > h.from_at
              order by h.fault, h.step_id, next.at) r`,
  );
  return {
    ofKills: durationsOf(rows.map(({ ms }) => ms)),
    ofKillsAlone: durationsOf(rows.filter(({ struck }) => !struck).map(({ ms }) => ms)),
    parts: await readRecoveryParts(admin, folder, rows),
    ofPauses: durationsOf(await readTakenInPauses(witness)),
  };
}

/** Of a pause that was long enough: the first effect of each step's next attempt. */
async function readTakenInPauses(witness: Pool): Promise<number[]> {
  const { rows } = await witness.query(
    `select extract(epoch from min(next.at) - f.from_at)::float8 * 1000 as ms
       from chaos_faults f ${TAKEN_IN_PAUSE}
      group by f.position, f.from_at, e.step_id`,
  );
  return rows.map(({ ms }) => ms);
}

/** Joins the effects in an engine that a pause f interrupted to those that followed on another one meanwhile. */
const TAKEN_IN_PAUSE = `
  join chaos_effects e on f.kind = 'pause' and e.engine = f.engine and e.at < f.from_at
       and e.at + e.busy_ms * interval '1 millisecond' > f.from_at
  join chaos_effects next on next.step_id = e.step_id and next.attempt = e.attempt + 1
       and next.engine <> f.engine and next.at between f.from_at and f.to_at`;

async function countPausesThatHit(witness: Pool): Promise<number> {
  const { rows } = await witness.query(
    `select count(distinct f.position)::integer as count from chaos_faults f ${TAKEN_IN_PAUSE}`,
  );
  return rows[0].count;
}

/** How long after the answer to a cancel a handler may still begin: a claim may have been on its way. */
const AFTER_CANCEL = `interval '3 seconds'`;

/**
 * After the answer to a cancel no handler starts; those that a frozen engine starts when it thaws are not counted. A worker may
 * get its task from one that thaws.
 */
export async function checkEndings(witness: Pool, violations: Violations): Promise<void> {
  const { rows } = await witness.query(
    `select n.execution_id, e.step_key, e.engine, extract(epoch from e.at - n.at)::float8 as seconds
       from chaos_endings n join chaos_effects e using (execution_id)
      where n.kind = 'cancel' and e.engine not like 'worker-%' and e.at > n.at + ${AFTER_CANCEL}
        and not exists (select 1 from chaos_faults f
                         where f.engine = e.engine and f.kind = 'pause'
                           and f.from_at < e.at and f.to_at > n.at)`,
  );
  for (const { execution_id, step_key, engine, seconds } of rows)
    violations.add(
      'a handler began after a cancel was answered',
      execution_id,
      `${step_key} on ${engine}, ${Number(seconds).toFixed(1)} s after it`,
    );
}
