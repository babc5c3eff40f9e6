/**
 * The common part of the cases of a recovery run: the stage, the records, and the loop in which each fault waits until
 * the one before is over.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Chance } from '../chance.ts';
import type { EngineProcess } from '../stage/engine-process.ts';
import type { RecoveryStage } from './stage.ts';
import type { Call } from './witness.ts';

/** A time in which an engine was struck; its attempts may be made again by others then. */
export interface Strike {
  readonly engine: string;
  /** Of performance.now(). */
  readonly from: number;
  /** Infinity: it was killed. */
  to: number;
}

/** The results of a case. */
export class Findings {
  /** One figure for each fault, that of its slowest step, in milliseconds. */
  readonly faults: number[] = [];
  /** One for each step that was hit. */
  readonly steps: number[] = [];
  readonly strikes: Strike[] = [];
  /** Further figures, by their names. */
  readonly facts: Record<string, number | string> = {};
  readonly problems: string[] = [];

  add(fact: string, count: number): void {
    this.facts[fact] = Number(this.facts[fact] ?? 0) + count;
  }
}

export interface Play {
  readonly times: number;
  readonly stage: RecoveryStage;
  readonly findings: Findings;
  readonly draw: Chance;
  tell(line: string): void;
}

const LOOK_MS = 20;
const PATIENCE_MS = 60_000;
/** Each has written a heartbeat by then that tells of its lease, and watches the next one in the ring. */
const SETTLED_MS = 2_000;

/** Resolves when it holds. @throws when it does not within a minute */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const last = performance.now() + PATIENCE_MS;
  while (!(await holds())) {
    if (performance.now() > last) throw new Error(`It was waited for in vain that ${what}`);
    await sleep(LOOK_MS);
  }
}

/** Resolves when every engine is there and knows of the others. */
export async function allSettled({ fleet }: RecoveryStage): Promise<void> {
  await fleet.allReady();
  await sleep(SETTLED_MS);
}

/** An engine that runs a step now, at a random moment of its heartbeat; of these, or of all. */
export async function pickBusy(
  { stage, draw }: Play,
  among: () => readonly EngineProcess[],
): Promise<EngineProcess> {
  const busy = () => among().filter(({ name }) => stage.witness.running(name).length > 0);
  await until('an engine runs a step', () => busy().length > 0);
  await sleep(draw.between([0, 1_000]));
  await until('an engine runs a step', () => busy().length > 0);
  return draw.pick(busy());
}

/** Records the rows of steps that were not seen again: their owner, and whether they have a job. */
export async function describeMissed(
  { stage, findings }: Play,
  hits: readonly Call[],
  again: readonly (Call | null)[],
): Promise<void> {
  const missed = hits.filter((_, at) => again[at] === null).map(({ stepId }) => stepId);
  if (missed.length === 0) return;
  const { rows } = await stage.admin.query(
    `select s.id, s.status, s.attempt_count, s.claimed_by, s.updated_at, g.heartbeat_at, e.status as execution,
            e.sequence, (select json_agg(row_to_json(j)) from pgboss.job j where j.data ->> 'step_id' = s.id::text) as jobs
       from workflow_step_executions s
       join workflow_executions e on e.id = s.workflow_execution_id
       left join execution_engines g on g.id = s.claimed_by
      where s.id = any($1)`,
    [missed],
  );
  for (const row of rows) findings.problems.push(`not taken over: ${JSON.stringify(row)}`);
}

/**
 * Records how long the steps that were hit stood still, from a moment of performance.now().
 * @returns the slowest, in milliseconds; null when one was not seen again
 */
export function noteRecovery(
  { findings }: Play,
  hits: readonly Call[],
  again: readonly (Call | null)[],
  from: number,
): number | null {
  findings.add('steps hit', hits.length);
  const seen = again.filter((call) => call !== null);
  if (seen.length < hits.length)
    findings.problems.push(
      `${hits.length - seen.length} of ${hits.length} steps of ${hits[0]?.engine} were not taken over`,
    );
  const times = seen.map(({ at }) => at - from);
  findings.steps.push(...times);
  if (times.length === 0 || seen.length < hits.length) return null;
  const slowest = Math.max(...times);
  findings.faults.push(slowest);
  return slowest;
}
