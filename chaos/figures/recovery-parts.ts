/**
 * The parts of the time from the kill of an engine to the moment at which a step that ran in it runs again: until
 * another engine notices the death, until it has taken the step, until the step is claimed, until its handler leaves
 * an effect.
 *
 * The database has the times of the commits, the logs of the engines when each of them noticed.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pool } from '../../db/connection/client.ts';
import { type Durations, durationsOf } from './durations.ts';

/** A step that ran in an engine when it was killed, and the effect of its next attempt. */
export interface RecoveredStep {
  readonly stepId: string;
  /** The attempt that was lost. */
  readonly attempt: number;
  /** The attempt that left the effect. */
  readonly nextAttempt: number;
  readonly killedAt: Date;
  readonly effectAt: Date;
}

export const PARTS = ['noticed', 'taken', 'claimed', 'begun'] as const;
type Part = (typeof PARTS)[number];
/** Milliseconds; each part begins where the one before has ended. */
type Parts = Readonly<Record<Part, number>>;

export interface RecoveryParts {
  readonly all: Readonly<Record<Part, Durations>>;
  /** Means over the slowest tenth of the recoveries. */
  readonly ofSlowest: Parts;
  /** Recoveries in which the next attempt was lost as well, before its effect. */
  readonly lostAgain: number;
}

/** The words of the log line in which an engine tells that it takes over. */
const NOTICED = 'its steps are taken over';
const SLOWEST_SHARE = 0.1;

/** Returns null when there is nothing to measure. @param folder has the logs of the engines */
export async function readRecoveryParts(
  admin: Pool,
  folder: string,
  steps: readonly RecoveredStep[],
): Promise<RecoveryParts | null> {
  const commits = await readCommits(admin, steps);
  const noticed = await readNoticed(folder);
  const found = steps.flatMap((step, place) => {
    const parts = partsOf(step, commits[place]!, noticed);
    return parts === null ? [] : [{ step, parts, ms: step.effectAt.getTime() - step.killedAt.getTime() }];
  });
  if (found.length === 0) return null;
  const slowest = found.toSorted((a, b) => b.ms - a.ms).slice(0, Math.ceil(found.length * SLOWEST_SHARE));
  return {
    all: ofEach((part) => durationsOf(found.map(({ parts }) => parts[part]))!),
    ofSlowest: ofEach((part) =>
      Math.round(slowest.reduce((sum, { parts }) => sum + parts[part], 0) / slowest.length),
    ),
    lostAgain: steps.filter(({ attempt, nextAttempt }) => nextAttempt > attempt + 1).length,
  };
}

function ofEach<T>(of: (part: Part) => T): Record<Part, T> {
  return Object.fromEntries(PARTS.map((part) => [part, of(part)])) as Record<Part, T>;
}

interface Commits {
  /** The id of the engine that was killed. */
  readonly owner: string | null;
  readonly takenAt: Date | null;
  readonly claimedAt: Date | null;
}

async function readCommits(admin: Pool, steps: readonly RecoveredStep[]): Promise<Commits[]> {
  const { rows } = await admin.query<Commits>(
    `select (select t.owner from chaos.transitions t
              where t.step_id = h.step_id and t.attempt = h.attempt and t.to_status = 'running' limit 1) as owner,
            (select min(t.at) from chaos.transitions t
              where t.step_id = h.step_id and t.from_status = 'running' and t.at > h.killed_at) as "takenAt",
            (select min(t.at) from chaos.transitions t
              where t.step_id = h.step_id and t.to_status = 'running' and t.attempt = h.next_attempt) as "claimedAt"
       from unnest($1::uuid[], $2::integer[], $3::integer[], $4::timestamptz[])
            with ordinality h(step_id, attempt, next_attempt, killed_at, place)
      order by h.place`,
    [
      steps.map(({ stepId }) => stepId),
      steps.map(({ attempt }) => attempt),
      steps.map(({ nextAttempt }) => nextAttempt),
      steps.map(({ killedAt }) => killedAt),
    ],
  );
  return rows;
}

/** Returns when any engine first said of another one that it is gone, by the id of that one. */
async function readNoticed(folder: string): Promise<ReadonlyMap<string, number>> {
  const first = new Map<string, number>();
  for (const name of await readdir(folder)) {
    if (!/^engine-.*\.log$/.test(name)) continue;
    for (const line of (await readFile(join(folder, name), 'utf8')).split('\n')) {
      if (!line.includes(NOTICED)) continue;
      const { engine, time } = JSON.parse(line) as { engine: string; time: string };
      first.set(engine, Math.min(first.get(engine) ?? Number.POSITIVE_INFINITY, Date.parse(time)));
    }
  }
  return first;
}

/** Returns null when a part of it is not on record. */
function partsOf(
  { killedAt, effectAt }: RecoveredStep,
  { owner, takenAt, claimedAt }: Commits,
  noticed: ReadonlyMap<string, number>,
): Parts | null {
  const noticedAt = owner === null ? undefined : noticed.get(owner);
  if (noticedAt === undefined || takenAt === null || claimedAt === null) return null;
  const times = [killedAt.getTime(), noticedAt, takenAt.getTime(), claimedAt.getTime(), effectAt.getTime()];
  return ofEach((part) => {
    const at = PARTS.indexOf(part);
    return times[at + 1]! - times[at]!;
  });
}
