/**
 * The statements of steps that wait for the outside, for docs/sql.md: see query-plans.ts.
 */
import type { Statement } from '../../../db/statement.ts';
import { newId } from '../../../db/uuid.ts';
import { completeAnsweredSteps, markAnswers, renewWaits } from '../../../db/waits/answered-steps.ts';
import { claimReminders, listForms, openForms } from '../../../db/waits/form.ts';
import { readStepId, readTemplateOf } from '../../../db/waits/hooked-step.ts';
import { readRequestFate, takeBackRequest } from '../../../db/waits/kept-request.ts';
import { readReceptions } from '../../../db/waits/sent-signals.ts';
import { readKeptSignals, readSignalWaits, useSignals } from '../../../db/waits/signals.ts';
import { readInputsOfStep, readStep } from '../../../db/waits/step.ts';
import {
  changeTasks,
  deleteTasks,
  lockLeases,
  queuesWithTasks,
  readFreeTasks,
  renewLease,
} from '../../../db/waits/tasks.ts';
import type { Filled } from './filled-database.ts';
import type { PlannedQuery } from './query-plans.ts';
import type { PlannedRead } from './scope-plans.ts';

export function waitCommits({ stepIds }: Filled): PlannedQuery[] {
  const perCommit = (from: string, statement: Statement): PlannedQuery => ({
    name: statement.name!,
    from,
    when: 'once per commit that has such rows',
    lane: true,
    statement,
  });
  return [
    perCommit(
      'db/waits/answered-steps.ts',
      completeAnsweredSteps(
        stepIds.map((id) => ({ id, attempt: 1, output: '1', sequence: 7, answerId: newId() })),
        null,
      ),
    ),
    perCommit('db/waits/answered-steps.ts', markAnswers(stepIds.map((id) => ({ id, answerId: newId() })))),
    perCommit(
      'db/waits/answered-steps.ts',
      renewWaits(
        stepIds.map((id) => ({ id, attempt: 1, waitingFor: '{}', sequence: 7, answerId: newId() })),
        null,
      ),
    ),
    perCommit(
      'db/waits/form.ts',
      openForms(
        stepIds.map((id) => ({ id, remindMs: 1_000 })),
        null,
      ),
    ),
    perCommit(
      'db/waits/signals.ts',
      useSignals(
        stepIds.map((stepId, at) => ({ id: String(at), stepId })),
        null,
      ),
    ),
    ...changeTasks(
      [{ stepId: stepIds[0]!, fromAttempt: 1, attempt: 1, sequence: 7, queue: 'q', claim: null, losses: 1 }],
      null,
    ).map((statement) => perCommit('db/waits/tasks.ts', statement)),
    perCommit('db/waits/tasks.ts', deleteTasks(stepIds)),
  ];
}

export function waitReads({ executionIds, stepIds }: Filled): PlannedRead[] {
  const executionId = executionIds[0]!;
  const fold = 'a round of the consumer with tickets of signals';
  return [
    ['read_step', 'waits/step.ts', 'a call about one step', (db) => readStep(db, stepIds[0]!, false)],
    ['read_inputs_of_step', 'waits/step.ts', 'a read of one step', (db) => readInputsOfStep(db, stepIds[0]!)],
    [
      'list_forms',
      'waits/form.ts',
      'a page of the inbox',
      (db) => listForms(db, { workspaceId: newId(), assignee: 'ada', after: undefined, limit: 51 }),
    ],
    ['claim_reminders', 'waits/form.ts', 'every 2 s and engine', (db) => claimReminders(db, 60_000, 20)],
    [
      'read_template_of',
      'waits/hooked-step.ts',
      'a request to a webhook step',
      (db) => readTemplateOf(db, executionId),
    ],
    [
      'read_step_id',
      'waits/hooked-step.ts',
      'a request to a webhook step',
      (db) => readStepId(db, executionId, '', newId()),
    ],
    [
      'read_receptions',
      'waits/sent-signals.ts',
      'a signal over HTTP',
      (db) => readReceptions(db, [{ executionId, name: 'paid', signalId: 'payment-17', scope: null }]),
    ],
    [
      'read_request_fate',
      'waits/kept-request.ts',
      'while a request is held',
      (db) => readRequestFate(db, executionId, 'webhook:one'),
    ],
    [
      'take_back_request',
      'waits/kept-request.ts',
      'a request whose step is over',
      (db) => takeBackRequest(db, executionId, 'webhook:one', 'unused'),
    ],
    ['read_signal_waits', 'waits/signals.ts', fold, (db) => readSignalWaits(db, [executionId], 8)],
    [
      'read_kept_signals',
      'waits/signals.ts',
      fold,
      (db) => readKeptSignals(db, [{ executionId, name: 'paid', scope: null }], 8, 1_000_000),
    ],
    [
      'read_free_tasks',
      'waits/tasks.ts',
      'a claim of tasks',
      (db) => readFreeTasks(db, 'images', { admin: false, workspaceId: null }, 10),
    ],
    [
      'renew_lease',
      'waits/tasks.ts',
      'a heartbeat of a worker outside',
      (db) => renewLease(db, stepIds[0]!, executionId),
    ],
    ['lock_leases', 'waits/tasks.ts', 'the timer of a lease', (db) => lockLeases(db, stepIds)],
    [
      'queues_with_tasks',
      'waits/tasks.ts',
      'once a second while workers wait for tasks',
      (db) => queuesWithTasks(db, ['images']),
    ],
  ];
}
