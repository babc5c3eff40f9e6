/**
 * Every statement that runs per step, per request or per second, as the code sends it, with its plan on a filled
 * database. The statements are taken from the functions that send them, so none of them is written down twice.
 */

import type { Job } from '../../../core/jobs.ts';
import { keepAttempts, keepBeforeReset } from '../../../db/attempts/ended.ts';
import { keepEnds, keepStatuses } from '../../../db/attempts/execution-statuses.ts';
import { readAttempts, readLogs, readTurns } from '../../../db/attempts/kept-attempts.ts';
import { keepLogs } from '../../../db/attempts/logs.ts';
import type { Db } from '../../../db/connection/client.ts';
import { pulse, stepsOfTheDead } from '../../../db/engine.ts';
import {
  findByKeys,
  readExecution,
  readStates,
  readSteps,
  readTrackedInputs,
} from '../../../db/execution-queries.ts';
import {
  readAdvanced,
  readExecutionHead,
  readHappenings,
  readScopeHead,
} from '../../../db/history/events.ts';
import { lostSteps, markLost } from '../../../db/races/lost-steps.ts';
import { findWorkForNobody, readQueueDepths } from '../../../db/ready-work.ts';
import { countOpen } from '../../../db/scopes/open-views.ts';
import type { Statement } from '../../../db/statement.ts';
import { noteEnds } from '../../../db/stats/ended.ts';
import { readPayloads, readResumption, sumPayloadBytes } from '../../../db/step-payload.ts';
import { newId } from '../../../db/uuid.ts';
import {
  advanceExecutions,
  changeExecutions,
  insertExecutions,
  lockExecutions,
  readManyInputs,
} from '../../../db/workflow-execution.ts';
import { insertInputs } from '../../../db/workflow-input-tracker.ts';
import { completeSteps, insertSteps, loadSteps, updateSteps } from '../../../db/workflow-step-execution.ts';
import { readTemplateById, readTemplateByName } from '../../../db/workflow-template.ts';
import type { ExecutionEngineQueue } from '../../../queue/execution-engine-queue.ts';
import { childCommits, childReads } from './child-plans.ts';
import { explainReads } from './explain-plans.ts';
import { ENGINE_ID, type Filled } from './filled-database.ts';
import { readingReads } from './reading-plans.ts';
import { scopeCommits, scopeReads } from './scope-plans.ts';
import { waitCommits, waitReads } from './wait-plans.ts';

export interface PlannedQuery {
  readonly name: string;
  /** Which code sends it. */
  readonly from: string;
  readonly when: string;
  /** Commits go through connections with a planner of their own (db/connection/lane.ts). */
  readonly lane: boolean;
  readonly statement: { text: string; values: unknown[] };
}

const JOBS = 'pgboss.job';
const EVENT_RANGE = {
  after: { sequence: -1, n: 0 },
  before: { sequence: 100, n: 0 },
  limit: 100,
  fromEnd: false,
};

/** The statements, in the order in which they are told of. */
export async function plannedQueries(filled: Filled, queue: ExecutionEngineQueue): Promise<PlannedQuery[]> {
  return [
    ...commits(filled),
    ...scopeCommits(filled),
    ...childCommits(filled),
    ...waitCommits(filled),
    ...(await tickets(filled, queue)),
    ...(await reads(filled)),
    ...(await ticks(filled)),
  ];
}

function commits({ executionIds, stepIds, templateId, stepTemplateId }: Filled): PlannedQuery[] {
  const executionId = executionIds[0]!;
  const perCommit = (from: string, statement: Statement): PlannedQuery => ({
    name: statement.name!,
    from,
    when: 'once per commit that has such rows',
    lane: true,
    statement,
  });
  const executions = 'db/workflow-execution.ts';
  const steps = 'db/workflow-step-execution.ts';
  const claim = { attempt: 1, owner: ENGINE_ID };
  return [
    perCommit(executions, insertExecutions([newExecution(templateId)])),
    perCommit(executions, advanceExecutions(executionIds.map((id) => ({ id, fromSequence: 6 })))),
    perCommit(
      executions,
      changeExecutions([
        {
          id: executionId,
          fromSequence: 6,
          fromStatus: 'running',
          status: 'completed',
          begun: false,
          stopping: false,
          stopReason: null,
          ended: true,
          outputs: '{}',
          error: null,
        },
      ]),
    ),
    perCommit(
      steps,
      insertSteps([
        {
          id: newId(),
          executionId,
          stepTemplateId,
          status: 'queued',
          required: 1,
          received: '{}',
          attempt: 0,
          owner: null,
          sequence: 7,
        },
      ]),
    ),
    perCommit(
      steps,
      completeSteps(stepIds.map((id) => ({ id, ...claim, output: '1', routes: null, sequence: 7 }))),
    ),
    perCommit(steps, updateSteps(stepIds.map((id) => stepUpdate(id)))),
    ...noteEnds([{ id: executionId, ended: true }]).map((statement) =>
      perCommit('db/stats/ended.ts', statement),
    ),
    perCommit('db/races/lost-steps.ts', markLost(stepIds)),
    perCommit(
      'db/attempts/ended.ts',
      keepAttempts(
        [
          {
            stepId: stepIds[0]!,
            attempt: 1,
            outcome: 'failed',
            owner: ENGINE_ID,
            output: null,
            error: { code: 'failed', message: 'It failed.', details: null },
            change: { sequence: 7, status: 'retrying' },
          },
        ],
        null,
      ),
    ),
    ...keepBeforeReset(stepIds.slice(0, 1)).map((each) => perCommit('db/attempts/ended.ts', each)),
    perCommit(
      'db/attempts/execution-statuses.ts',
      keepStatuses([{ id: executionId, sequence: 7, status: 'compensating' }], null),
    ),
    perCommit('db/attempts/execution-statuses.ts', keepEnds([executionId])),
    perCommit(
      'db/attempts/logs.ts',
      keepLogs([{ stepId: stepIds[0]!, attempt: 1, sequence: 7, lines: '[]' }]),
    ),
    perCommit(
      'db/workflow-input-tracker.ts',
      insertInputs([{ id: newId(), stepId: stepIds[0]!, fromStepId: stepIds[1]!, live: true, route: null }]),
    ),
  ];
}

function newExecution(templateId: string) {
  return {
    id: newId(),
    templateId,
    status: 'running' as const,
    sequence: 1,
    inputs: '{}',
    userId: null,
    workspaceId: null,
    priority: 0,
    tags: [],
    idempotencyKey: null,
    requestedVersion: null,
    callbackUrl: null,
    startAfter: null,
  };
}

function stepUpdate(id: string) {
  return {
    id,
    fromStatus: 'running' as const,
    fromAttempt: 1,
    fromOwner: ENGINE_ID,
    status: 'queued' as const,
    attempt: 1,
    retries: 0,
    crashes: 0,
    owner: null,
    parked: false,
    sequence: 7,
    received: null,
    errorCode: null,
    error: null,
    errorDetails: null,
    timerMs: null,
    parkedState: null,
    hasDeadline: false,
    deadlineMs: null,
    waitingFor: null,
  };
}

async function tickets(
  { executionIds, stepIds }: Filled,
  queue: ExecutionEngineQueue,
): Promise<PlannedQuery[]> {
  const from = 'queue/execution-engine-queue.ts (pg-boss)';
  const name = 'StepExecutionQueue' as const;
  const job: Job = {
    queue: name,
    id: stepIds[0]!,
    data: { kind: 'step', execution_id: executionIds[0]!, step_id: stepIds[0]! },
    priority: 0,
    startAfter: null,
  };
  const [insert] = await queue.insertStatements([job]);
  const [remove] = await queue.deleteStatements([job]);
  const when = 'once per commit that leaves steps to the queue';
  return [
    { name: 'insert_jobs', from, when, lane: true, statement: insert! },
    {
      name: 'delete_jobs',
      from,
      when: 'once per commit that takes tickets away',
      lane: true,
      statement: remove!,
    },
    {
      name: 'fetch_jobs',
      from,
      when: 'when jobs are due and capacity is free',
      lane: false,
      statement: await sent((db) => queue.fetch(db, name, 100)),
    },
  ];
}

async function reads(filled: Filled): Promise<PlannedQuery[]> {
  const { executionIds, stepIds, templateId } = filled;
  const executionId = executionIds[0]!;
  const query = async (name: string, from: string, when: string, send: (db: Db) => Promise<unknown>) => ({
    name,
    from,
    when,
    lane: false,
    statement: await sent(send),
  });
  const status = 'a status request';
  const locked = 'a commit whose executions are not in memory, or that lost a race';
  const passing = 'the same for several executions, and a round of the consumer that has jobs';
  const payload = 'a step whose inputs did not pass through this process';
  return Promise.all([
    query('lock_executions', 'db/workflow-execution.ts', locked, (db) => lockExecutions(db, executionIds)),
    query('lock_free_executions', 'db/workflow-execution.ts', passing, (db) =>
      lockExecutions(db, executionIds, true),
    ),
    query('load_steps', 'db/workflow-step-execution.ts', locked, (db) => loadSteps(db, executionIds)),
    query('read_inputs', 'db/workflow-execution.ts', payload, (db) =>
      readManyInputs(db, [executionId], null),
    ),
    query('read_step_payloads', 'db/step-payload.ts', payload, (db) => readPayloads(db, stepIds)),
    query('sum_step_payload_bytes', 'db/step-payload.ts', 'the same, when they may be too many', (db) =>
      sumPayloadBytes(db, stepIds, 1_000_000),
    ),
    query('read_step_resumption', 'db/step-payload.ts', 'a step that comes back from waiting', (db) =>
      readResumption(db, stepIds[0]!, { attempt: 1, owner: ENGINE_ID, sequence: 6 }),
    ),
    query('template by id', 'db/workflow-template.ts', 'first use of a version in a process', (db) =>
      readTemplateById(db, templateId),
    ),
    query('template by name', 'db/workflow-template.ts', 'a start', (db) =>
      readTemplateByName(db, null, 'order-fulfilment', null),
    ),
    query('executions by key', 'db/execution-queries.ts', 'a start with an idempotency key', (db) =>
      findByKeys(db, null, [{ key: 'order-42', template: 'order-fulfilment', version: null, inputs: '{}' }]),
    ),
    query('read_execution', 'db/execution-queries.ts', status, (db) => readExecution(db, executionId)),
    query('read_steps', 'db/execution-queries.ts', status, (db) => readSteps(db, executionId, '', false)),
    query('read_tracked_inputs', 'db/execution-queries.ts', status, (db) =>
      readTrackedInputs(db, executionId, ''),
    ),
    ...[...scopeReads(filled), ...childReads(filled), ...readingReads(filled)].map(
      ([name, file, when, send]) => query(name, `db/${file}`, when, send),
    ),
    query('read_attempts', 'db/attempts/kept-attempts.ts', 'a read of one step', (db) =>
      readAttempts(db, stepIds[0]!),
    ),
    query('read_step_logs', 'db/attempts/kept-attempts.ts', 'a read of one step', (db) =>
      readLogs(db, stepIds[0]!),
    ),
    query('read_execution_head', 'db/history/events.ts', 'a read of events', (db) =>
      readExecutionHead(db, executionId),
    ),
    query('read_scope_head', 'db/history/events.ts', 'a read of the events of a scope', (db) =>
      readScopeHead(db, executionId, 'each[0]'),
    ),
    query('read_events', 'db/history/events.ts', 'a read of events', (db) =>
      readHappenings(db, executionId, '', EVENT_RANGE),
    ),
    query('read_last_events', 'db/history/events.ts', 'a read of events, backwards', (db) =>
      readHappenings(db, executionId, '', { ...EVENT_RANGE, fromEnd: true }),
    ),
    query(
      'read_advanced',
      'db/history/events.ts',
      'once a second, where events are followed beside other engines',
      (db) => readAdvanced(db, [{ executionId, sequence: 1 }]),
    ),
    query('read_turns', 'db/attempts/kept-attempts.ts', 'a read of one step', (db) =>
      readTurns(db, stepIds[0]!),
    ),
    ...[...waitReads(filled), ...explainReads(filled)].map(([name, file, when, send]) =>
      query(name, `db/${file}`, when, send),
    ),
    query('read_execution_states', 'db/execution-queries.ts', 'a stop, a cancel, a long poll', (db) =>
      readStates(db, [executionId]),
    ),
  ]);
}

async function ticks({ executionIds, stepIds }: Filled): Promise<PlannedQuery[]> {
  const from = 'db/engine.ts';
  return [
    {
      name: 'pulse',
      from,
      when: 'once a second and process',
      lane: true,
      statement: await sent((db) =>
        pulse(db, { id: ENGINE_ID, runningCount: 0, hasLease: true }, JOBS, executionIds),
      ),
    },
    {
      name: 'lost_steps',
      from: 'db/races/lost-steps.ts',
      when: 'once a second while steps run here that may lose a race',
      lane: true,
      statement: await sent((db) => lostSteps(db, stepIds)),
    },
    {
      name: 'steps of dead engines',
      from,
      when: 'when an engine has died',
      lane: true,
      statement: await sent((db) => stepsOfTheDead(db, { self: ENGINE_ID, limit: 1_000 })),
    },
    {
      name: 'open executions and steps',
      from: 'db/scopes/open-views.ts',
      when: 'a scrape of the metrics',
      lane: false,
      statement: await sent((db) => countOpen(db)),
    },
    {
      name: 'queue depths',
      from: 'db/ready-work.ts',
      when: 'a scrape of the metrics',
      lane: false,
      statement: await sent((db) => readQueueDepths(db, JOBS)),
    },
    {
      name: 'work for nobody',
      from: 'db/ready-work.ts',
      when: 'once in 10 s while somebody asks for the health',
      lane: false,
      statement: await sent((db) => findWorkForNobody(db, JOBS, 10)),
    },
  ];
}

/** The statement that a function sends, without sending it. */
async function sent(send: (db: Db) => Promise<unknown>): Promise<{ text: string; values: unknown[] }> {
  let statement: { text: string; values: unknown[] } | null = null;
  const query = async (first: string | { text: string; values?: unknown[] }, values: unknown[] = []) => {
    statement ??= typeof first === 'string' ? { text: first, values } : { values, ...first };
    return { rows: [], rowCount: 0 };
  };
  // What a function makes of no rows is not looked at.
  await send({ query } as unknown as Db).catch(() => {});
  if (statement === null) throw new Error('no statement was sent');
  return statement;
}
