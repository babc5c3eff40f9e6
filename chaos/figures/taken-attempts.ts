/**
 * The attempts that were taken from engines that were well: neither killed nor paused between the claim of the attempt
 * and the commit that took it.
 */
import type { Pool } from '../../db/connection/client.ts';

export interface TakenAttempt {
  readonly stepId: string;
  readonly attempt: number;
  /** The name of its engine. */
  readonly engine: string;
  readonly claimedAt: Date;
  readonly takenAt: Date;
}

/** An attempt that was not over by the duration that it announced when the next one left its effect. */
type Interrupted = Pick<TakenAttempt, 'stepId' | 'attempt' | 'engine'>;

/** @param admin of the engines' database, which has the transitions */
export async function readTakenFromHealthy(witness: Pool, admin: Pool): Promise<TakenAttempt[]> {
  const { rows: interrupted } = await witness.query<Interrupted>(
    `select e.step_id as "stepId", e.attempt, e.engine
       from chaos_effects e join chaos_effects next on next.step_id = e.step_id and next.attempt = e.attempt + 1
      where next.visit = 0 and next.at < e.at + e.busy_ms * interval '1 millisecond' - interval '20 milliseconds'`,
  );
  const taken = await readTakings(admin, interrupted);
  const { rows: explained } = await witness.query<{ explained: boolean }>(
    `select exists (select 1 from chaos_faults f
                     where f.engine = t.engine and f.kind in ('kill', 'pause')
                       and f.from_at <= t.taken_at and coalesce(f.to_at, 'infinity') >= t.claimed_at) as explained
       from unnest($1::text[], $2::timestamptz[], $3::timestamptz[])
            with ordinality t(engine, claimed_at, taken_at, place)
      order by t.place`,
    [
      taken.map(({ engine }) => engine),
      taken.map(({ claimedAt }) => claimedAt),
      taken.map(({ takenAt }) => takenAt),
    ],
  );
  return taken.filter((_, place) => !explained[place]!.explained);
}

async function readTakings(admin: Pool, attempts: readonly Interrupted[]): Promise<TakenAttempt[]> {
  const { rows } = await admin.query<TakenAttempt>(
    `select a.step_id as "stepId", a.attempt, a.engine, claim.at as "claimedAt", min(taking.at) as "takenAt"
       from unnest($1::uuid[], $2::integer[], $3::text[]) a(step_id, attempt, engine)
       join chaos.transitions claim
         on claim.step_id = a.step_id and claim.attempt = a.attempt and claim.to_status = 'running'
       join chaos.transitions taking
         on taking.step_id = a.step_id and taking.from_status = 'running' and taking.position > claim.position
      group by a.step_id, a.attempt, a.engine, claim.position, claim.at
      order by claim.at`,
    [
      attempts.map(({ stepId }) => stepId),
      attempts.map(({ attempt }) => attempt),
      attempts.map(({ engine }) => engine),
    ],
  );
  return rows;
}
