/**
 * Repairs jobs: deletes jobs that no row awaits, and writes missing ones.
 *
 * In one transaction, under the lock of their executions: no engine can commit a transition of them meanwhile, and
 * the faults are looked up again there. A job that an engine is fetching at that moment is left to it.
 */

import { graphAt } from '../../core/graph.ts';
import {
  deadlineJob,
  inboxTicket,
  type Job,
  ofView,
  signalsTicket,
  startJob,
  stepDeadline,
  stepTicket,
  stepTimer,
  stopJob,
  taskLease,
} from '../../core/jobs.ts';
import { executionOf, scopeOf, slotOf, type ViewKey } from '../../core/view.ts';
import type { Pool, Tx } from '../../db/connection/client.ts';
import { transact } from '../../db/connection/transact.ts';
import { findOffenders, type Offender } from '../../db/doctor/examine.ts';
import type { SqlInvariant } from '../../db/doctor/invariant.ts';
import { type JoblessStep, readJoblessExecutions, readJoblessSteps } from '../../db/doctor/repair.ts';
import { newId } from '../../db/uuid.ts';
import { lockLeases } from '../../db/waits/tasks.ts';
import { type LoadedExecution, lockExecutions } from '../../db/workflow-execution.ts';
import type { ExecutionEngineQueue } from '../../queue/execution-engine-queue.ts';
import type { TemplateVersion } from '../../template/version.ts';
import type { TemplateVersions } from '../../template/versions.ts';

export interface JobRepairOptions {
  readonly pool: Pool;
  readonly queue: ExecutionEngineQueue;
  readonly versions: TemplateVersions;
  readonly pgbossSchema: string;
  readonly stopGraceMs: number;
}

/** Invariants whose jobs must be deleted. */
export const STRAY_JOBS: readonly string[] = [
  'job-of-final-step',
  'job-not-awaited',
  'job-of-final-execution',
  'job-with-another-id',
  'job-out-of-reach',
];

type JobWriter = (repair: Repair, offenders: readonly Offender[]) => Promise<Job[]>;

/** Invariants of rows without their job, with the function that writes it. */
export const MISSING_JOBS: Readonly<Record<string, JobWriter>> = {
  'queued-step-without-job': stepJobs,
  'waiting-step-without-timer': stepJobs,
  'parked-step-without-deadline': stepDeadlines,
  'claimed-task-without-timer': taskLeases,
  'signal-overlooked': signalTickets,
  'postponed-execution-without-timer': startJobs,
  'running-execution-without-deadline': deadlineJobs,
  'stopping-execution-without-deadline': stopJobs,
  'inbox-without-ticket': inboxTickets,
  'inbox-of-final-execution': inboxTickets,
};

interface Repair {
  readonly tx: Tx;
  readonly options: JobRepairOptions;
  readonly executions: ReadonlyMap<string, LoadedExecution>;
}

/** Repairs the jobs of at most a few dozen executions. Returns how many by invariant. */
export async function repairJobs(
  options: JobRepairOptions,
  invariants: readonly SqlInvariant[],
  executionIds: readonly string[],
): Promise<Map<string, number>> {
  const { pool, queue } = options;
  return transact(pool, async (tx) => {
    const repaired = new Map<string, number>();
    const locked = await lockExecutions(tx, executionIds);
    const executions = new Map(locked.map((execution) => [execution.id, execution]));
    const find = (invariant: SqlInvariant) => findHere(tx, options, invariant, executionIds);
    for (const invariant of invariants.filter(({ name }) => STRAY_JOBS.includes(name))) {
      const strays = await find(invariant);
      if (strays.length === 0) continue;
      for (const statement of await queue.deleteStatements(strays.map(keyOf))) await tx.query(statement);
      repaired.set(invariant.name, strays.length - (await find(invariant)).length);
    }
    for (const invariant of invariants) {
      const write = MISSING_JOBS[invariant.name];
      const lacking = write === undefined ? [] : await find(invariant);
      if (lacking.length === 0) continue;
      const jobs = await write!({ tx, options, executions }, lacking);
      for (const statement of await queue.insertStatements(jobs)) await tx.query(statement);
      repaired.set(invariant.name, jobs.length);
    }
    return repaired;
  });
}

const MAX_PER_TRANSACTION = 20_000;

/** No grace: under the lock there is no work in between. */
async function findHere(
  tx: Tx,
  { pgbossSchema }: JobRepairOptions,
  invariant: SqlInvariant,
  executionIds: readonly string[],
): Promise<readonly Offender[]> {
  const since = '00000000-0000-0000-0000-000000000000';
  const asked = { pgbossSchema, graceSeconds: 0, since, most: MAX_PER_TRANSACTION, executionIds };
  return (await findOffenders(tx, invariant, asked)).rows;
}

function keyOf({ id, queue }: Offender): Pick<Job, 'queue' | 'id'> {
  return { id, queue: queue as Job['queue'] };
}

async function stepJobs({ tx, options, executions }: Repair, offenders: readonly Offender[]): Promise<Job[]> {
  const steps = await readJoblessSteps(
    tx,
    offenders.map(({ id }) => id),
  );
  const jobs: Job[] = [];
  for (const step of steps) {
    const execution = executions.get(step.executionId);
    const version = execution && (await options.versions.find(tx, execution.templateId));
    const position = version?.positions.get(step.stepTemplateId);
    if (version && position !== undefined) jobs.push(...jobOfStep(version, position, step));
  }
  return jobs;
}

/**
 * Returns no job for a step with a timeout that an engine of an earlier version parked: it has no deadline, and its
 * row does not say whether its timer was to resume it or to time it out.
 */
function jobOfStep({ graphs, steps }: TemplateVersion, position: number, step: JoblessStep): Job[] {
  const graph = graphAt(graphs, position);
  const view = ofView({ id: step.executionId, scope: step.scope });
  if (step.status === 'queued') {
    return [stepTicket(view, graph, { id: step.id, slot: slotOf(graph, position) })];
  }
  const isAmbiguous =
    step.status === 'waiting' && step.deadlineInMs === null && steps[position]!.step.timeoutMs !== null;
  if (isAmbiguous || step.resumesInMs === null) return [];
  const timer = { purpose: 'resume' as const, afterMs: Math.max(0, step.resumesInMs) };
  return [stepTimer(view, step, timer)];
}

async function stepDeadlines({ tx }: Repair, offenders: readonly Offender[]): Promise<Job[]> {
  const steps = await readJoblessSteps(
    tx,
    offenders.map(({ id }) => id),
  );
  return steps.flatMap((step) =>
    step.deadlineInMs === null
      ? []
      : stepDeadline(
          ofView({ id: step.executionId, scope: step.scope }),
          step,
          Math.max(0, step.deadlineInMs),
        ),
  );
}

/** A heartbeat waits meanwhile; after it the timer is set again when it is due. */
async function taskLeases({ tx }: Repair, offenders: readonly Offender[]): Promise<Job[]> {
  const ids = offenders.map(({ id }) => id);
  const leases = await lockLeases(tx, ids);
  return (await readJoblessSteps(tx, ids)).flatMap(({ id, executionId, scope }) => {
    const { token = null, leftMs = 0 } = leases.get(id) ?? {};
    if (token === null) return [];
    return taskLease(ofView({ id: executionId, scope }), id, { token, leaseMs: Math.max(0, leftMs) });
  });
}

async function signalTickets(_repair: Repair, offenders: readonly Offender[]): Promise<Job[]> {
  return offenders.map(({ id }) => signalsTicket(id, newId()));
}

async function startJobs({ tx }: Repair, offenders: readonly Offender[]): Promise<Job[]> {
  const rows = await readJoblessExecutions(
    tx,
    offenders.map(({ id }) => id),
  );
  return rows.map(({ id, beginsInMs }) => startJob(id, Math.max(0, beginsInMs)));
}

async function deadlineJobs(
  { tx, options, executions }: Repair,
  offenders: readonly Offender[],
): Promise<Job[]> {
  const ids = offenders.map(({ id }) => id);
  const jobs: Job[] = [];
  for (const { id, runningMs } of await readJoblessExecutions(tx, ids)) {
    const version = await options.versions.find(tx, executions.get(id)!.templateId);
    const timeoutMs = version?.template.timeoutMs ?? null;
    if (timeoutMs !== null) jobs.push(deadlineJob(id, Math.max(0, timeoutMs - runningMs)));
  }
  return jobs;
}

async function stopJobs({ tx, options }: Repair, offenders: readonly Offender[]): Promise<Job[]> {
  const rows = await readJoblessExecutions(
    tx,
    offenders.map(({ id }) => id),
  );
  return rows.map(({ id, stoppingMs }) => stopJob(id, Math.max(0, options.stopGraceMs - stoppingMs)));
}

async function inboxTickets(_: Repair, offenders: readonly Offender[]): Promise<Job[]> {
  return offenders.map(({ view }) => inboxTicket(ofView(viewNamed(view!)), newId()));
}

function viewNamed(key: ViewKey) {
  return { id: executionOf(key), scope: scopeOf(key) };
}
