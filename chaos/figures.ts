/**
 * What the witness knows of the faults: which kills hit a running step, and how long it took until it ran again.
 */
import type { Pool } from '../db/connection/client.ts';
import type { Violations } from './violations.ts';

export interface Figures {
  /** Kills of an engine while a handler was at work in it. */
  readonly killsThatHit: number;
  /** Pauses of an engine in which others took its steps over. */
  readonly pausesThatHit: number;
  /** Steps that were running in an engine when it was killed. */
  readonly stepsHit: number;
  /** From the kill to the first effect of the step's next attempt, in milliseconds; null: there was none. */
  readonly recoveryMs: { count: number; p50: number; p90: number; p99: number; max: number } | null;
  /** Attempts that were given up although their engine was neither killed nor paused in them. */
  readonly takenFromHealthy: number;
}

const HITS = `
  select f.position as fault, f.from_at, e.step_id, e.attempt
    from chaos_faults f join chaos_effects e on e.engine = f.engine
   where f.kind = 'kill' and e.busy_ms > 0
     and e.at <= f.from_at and e.at + e.busy_ms * interval '1 millisecond' > f.from_at`;

export async function readFigures(witness: Pool): Promise<Figures> {
  const { rows: hits } = await witness.query(
    `select count(distinct fault)::integer as kills, count(distinct step_id)::integer as steps from (${HITS}) hits`,
  );
  const { rows: recoveries } = await witness.query(
    `with recovered as (
       select extract(epoch from min(next.at) - h.from_at)::float8 * 1000 as ms
         from (${HITS}) h join chaos_effects next on next.step_id = h.step_id and next.attempt > h.attempt
        where next.at > h.from_at
        group by h.fault, h.from_at, h.step_id)
     select count(*)::integer as count, max(ms) as max,
            percentile_cont(array[0.5, 0.9, 0.99]) within group (order by ms) as quantiles from recovered`,
  );
  const { count, max, quantiles } = recoveries[0];
  const [p50, p90, p99] = (quantiles ?? []) as number[];
  return {
    killsThatHit: hits[0].kills,
    pausesThatHit: await countPausesThatHit(witness),
    stepsHit: hits[0].steps,
    recoveryMs:
      count === 0
        ? null
        : {
            count,
            p50: Math.round(p50!),
            p90: Math.round(p90!),
            p99: Math.round(p99!),
            max: Math.round(max),
          },
    takenFromHealthy: await countTakenFromHealthy(witness),
  };
}

async function countPausesThatHit(witness: Pool): Promise<number> {
  const { rows } = await witness.query(
    `select count(*)::integer as count from chaos_faults f
      where f.kind = 'pause'
        and exists (select 1 from chaos_effects e
                      join chaos_effects next on next.step_id = e.step_id and next.attempt = e.attempt + 1
                     where e.engine = f.engine and next.engine <> f.engine and e.at < f.from_at
                       and e.at + e.busy_ms * interval '1 millisecond' > f.from_at
                       and next.at between f.from_at and f.to_at)`,
  );
  return rows[0].count;
}

/** The next attempt began while the handler of this one was at work, by what it said of itself. */
async function countTakenFromHealthy(witness: Pool): Promise<number> {
  const { rows } = await witness.query(
    `select count(*)::integer as count
       from chaos_effects e join chaos_effects next on next.step_id = e.step_id and next.attempt = e.attempt + 1
      where next.visit = 0 and next.at < e.at + e.busy_ms * interval '1 millisecond' - interval '20 milliseconds'
        and not exists (select 1 from chaos_faults f
                         where f.engine = e.engine and f.kind in ('kill', 'pause')
                           and f.from_at < next.at and coalesce(f.to_at, next.at) >= e.at)`,
  );
  return rows[0].count;
}

/** How long after the answer to a cancel a handler may still begin: a claim may have been on its way. */
const AFTER_CANCEL = `interval '3 seconds'`;

/** After the answer to a cancel nothing starts; what a frozen engine does when it thaws is not held against it. */
export async function checkEndings(witness: Pool, violations: Violations): Promise<void> {
  const { rows } = await witness.query(
    `select n.execution_id, e.step_key, e.engine, extract(epoch from e.at - n.at)::float8 as seconds
       from chaos_endings n join chaos_effects e using (execution_id)
      where n.kind = 'cancel' and e.at > n.at + ${AFTER_CANCEL}
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
