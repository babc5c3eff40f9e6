/**
 * The statements of scopes, for docs/sql.md: see query-plans.ts.
 */

import type { Db } from '../../../db/connection/client.ts';
import { lockOpenScopes, readOpenSteps } from '../../../db/scopes/ends-below.ts';
import { readHeldScopes, writeHeldScopes } from '../../../db/scopes/held-scopes.ts';
import { deleteInbox, insertInbox, readEventsFor, readInbox } from '../../../db/scopes/inbox.ts';
import { insertItems, readItems } from '../../../db/scopes/items.ts';
import { findStep, listScopes, readParkedSteps } from '../../../db/scopes/list.ts';
import { deleteStepsOf } from '../../../db/scopes/reopen.ts';
import { readResults } from '../../../db/scopes/results.ts';
import { changeScopes, insertScopes, lockScopes } from '../../../db/scopes/scope.ts';
import { readNotUndoneSteps, readUncertainSteps } from '../../../db/scopes/uncertain-steps.ts';
import { beginToUndo, changeUndoneScopes } from '../../../db/scopes/undo.ts';
import type { Statement } from '../../../db/statement.ts';
import { newId } from '../../../db/uuid.ts';
import { insertScopeSteps, loadScopeSteps } from '../../../db/workflow-step-execution.ts';
import type { Filled } from './filled-database.ts';
import type { PlannedQuery } from './query-plans.ts';

export function scopeCommits({ executionIds, stepIds, stepTemplateId }: Filled): PlannedQuery[] {
  const [executionId] = executionIds as [string];
  const [holderId] = stepIds as [string];
  const perCommit = (file: string, statement: Statement): PlannedQuery => ({
    name: statement.name!,
    from: `db/${file}`,
    when: 'once per commit that has such rows; never where no step holds scopes',
    lane: true,
    statement,
  });
  const scope = { holderId, index: 0, run: 1, status: 'running' as const, outputs: null, error: null };
  const held = { run: 1, total: 1, next: 1, again: [], open: 1, completed: 0, failed: 0, cancelled: 0 };
  const step = {
    id: newId(),
    executionId,
    stepTemplateId,
    status: 'queued' as const,
    required: 0,
    received: '{}',
    attempt: 0,
    owner: null,
    sequence: 1,
    holderId,
    scope: 'each[0]',
  };
  const end = { index: 0, status: 'completed' as const, failure: null };
  return [
    perCommit('scopes/scope.ts', changeScopes([{ ...scope, fromSequence: 1, depth: 1 }], null)),
    perCommit(
      'scopes/scope.ts',
      insertScopes([{ ...scope, executionId, path: 'each[0]', part: 0, sequence: 1 }], null),
    ),
    perCommit(
      'scopes/held-scopes.ts',
      writeHeldScopes([
        { stepId: holderId, held: { ...held, concurrency: 10, tolerated: null, first: null, undoing: null } },
      ]),
    ),
    perCommit('scopes/undo.ts', beginToUndo([{ holderId, index: 0 }])),
    perCommit(
      'scopes/undo.ts',
      changeUndoneScopes([{ holderId, index: 0, run: 1, status: 'completed', fromSequence: 1, depth: 1 }]),
    ),
    perCommit('scopes/items.ts', insertItems([{ stepId: holderId, firstIndex: 0, items: '[1]' }])),
    perCommit('workflow-step-execution.ts', insertScopeSteps([step], null)),
    perCommit('scopes/reopen.ts', deleteStepsOf([{ executionId, path: 'each[0]' }])),
    perCommit(
      'scopes/inbox.ts',
      insertInbox([{ id: newId(), key: executionId, stepId: holderId, event: { run: 1, end } }]),
    ),
    perCommit('scopes/inbox.ts', deleteInbox([newId()])),
  ];
}

/** A statement that reads, with the file that sends it, and when. */
export type PlannedRead = readonly [
  name: string,
  file: string,
  when: string,
  send: (db: Db) => Promise<unknown>,
];

export function scopeReads({ executionIds, stepIds, stepTemplateId }: Filled): PlannedRead[] {
  const [executionId] = executionIds as [string];
  const [holderId] = stepIds as [string];
  const scope = { holderId, index: 0 };
  const locked = 'a commit whose scopes are not in memory, or that lost a race';
  const above = 'an end from above, once for each depth';
  return [
    ['lock_scopes', 'scopes/scope.ts', locked, (db) => lockScopes(db, [scope])],
    [
      'load_scope_steps',
      'workflow-step-execution.ts',
      locked,
      (db) => loadScopeSteps(db, [{ executionId, path: 'each[0]' }]),
    ],
    [
      'read_held_scopes',
      'scopes/held-scopes.ts',
      'the same for the steps that hold scopes, and a status request',
      (db) => readHeldScopes(db, [holderId]),
    ],
    [
      'read_inbox',
      'scopes/inbox.ts',
      'the same, for views with steps that hold scopes',
      (db) => readInbox(db, [executionId]),
    ],
    [
      'read_scope_items',
      'scopes/items.ts',
      'a scope that reads its item, once for some hundred of them',
      (db) => readItems(db, holderId, 0),
    ],
    [
      'read_scope_results',
      'scopes/results.ts',
      'a step whose scopes have all ended',
      (db) => readResults(db, holderId, 0, 500),
    ],
    ['lock_open_scopes', 'scopes/ends-below.ts', above, (db) => lockOpenScopes(db, [holderId])],
    ['read_open_steps', 'scopes/ends-below.ts', above, (db) => readOpenSteps(db, executionId, ['each[0]'])],
    [
      'read_events_for',
      'scopes/inbox.ts',
      'an end from above, once its scopes are locked',
      (db) => readEventsFor(db, executionId, [holderId]),
    ],
    [
      'read_uncertain_steps',
      'scopes/uncertain-steps.ts',
      'a status of an execution that is undone, whose definition has compensations inside scopes',
      (db) => readUncertainSteps(db, executionId, [stepTemplateId]),
    ],
    [
      'read_not_undone_steps',
      'scopes/uncertain-steps.ts',
      'a status of an execution that is undone, whose definition has compensations inside scopes',
      (db) =>
        readNotUndoneSteps(
          db,
          executionId,
          { steps: [stepTemplateId], compensations: [stepTemplateId] },
          true,
        ),
    ],
    [
      'list_scopes',
      'scopes/list.ts',
      'a list of scopes',
      (db) => listScopes(db, holderId, { status: null, after: null, limit: 50 }),
    ],
    [
      'find_step',
      'scopes/list.ts',
      'a list of scopes',
      (db) => findStep(db, executionId, '', stepTemplateId),
    ],
    [
      'read_parked_steps',
      'scopes/list.ts',
      'a list of scopes of which some are open',
      (db) => readParkedSteps(db, executionId, ['each[0]']),
    ],
  ];
}
