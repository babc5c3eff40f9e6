/**
 * The statements of `explain` and of the pages about the load, for docs/sql.md: see query-plans.ts.
 */
import { readAwaitedChildren, readLeases, readOpenScopes } from '../../../db/explain/around.ts';
import { readEngines } from '../../../db/explain/engines.ts';
import {
  readExplained,
  readExplainedScope,
  readExplainedSteps,
  readPauser,
  readPlaceInLine,
} from '../../../db/explain/execution.ts';
import { readLimitHolders, readLine, readRunningSteps } from '../../../db/explain/holders.ts';
import { readSpent } from '../../../db/explain/spent.ts';
import { readReadyWork } from '../../../db/load/queues.ts';
import { newId } from '../../../db/uuid.ts';
import type { Filled } from './filled-database.ts';
import type { PlannedRead } from './scope-plans.ts';

const JOBS = 'pgboss.job';

export function explainReads({ executionIds, stepIds }: Filled): PlannedRead[] {
  const id = executionIds[0]!;
  const explain = 'a call of `explain`';
  const queued = 'the same, about queued steps';
  const admin = 'a look at the load';
  return [
    ['read_explained', 'explain/execution.ts', explain, (db) => readExplained(db, id)],
    ['read_explained_steps', 'explain/execution.ts', explain, (db) => readExplainedSteps(db, id, '')],
    [
      'read_explained_scope',
      'explain/execution.ts',
      'the same, about a scope',
      (db) => readExplainedScope(db, id, 'each[3]'),
    ],
    ['read_pauser', 'explain/execution.ts', 'the same, about a paused execution', (db) => readPauser(db, id)],
    [
      'read_place_in_line',
      'explain/execution.ts',
      'the same, about a pending execution',
      (db) => readPlaceInLine(db, { id, workspaceId: null, priority: 0 }),
    ],
    [
      'engines',
      'explain/engines.ts',
      `${queued}; a status with queued steps; ${admin}`,
      (db) => readEngines(db),
    ],
    ['holders of limits', 'explain/holders.ts', queued, (db) => readLimitHolders(db, [newId()])],
    ['line for limits', 'explain/holders.ts', queued, (db) => readLine(db, JOBS, null)],
    ['steps that run', 'explain/holders.ts', queued, (db) => readRunningSteps(db, undefined)],
    [
      'read_awaited_children',
      'explain/around.ts',
      'the same, about steps that wait for children',
      (db) => readAwaitedChildren(db, new Map([[stepIds[0]!, id]])),
    ],
    [
      'read_open_scopes',
      'explain/around.ts',
      'the same, about steps that hold scopes',
      (db) => readOpenScopes(db, stepIds),
    ],
    ['read_leases', 'explain/around.ts', 'the same, about tasks', (db) => readLeases(db, stepIds)],
    ['read_spent', 'explain/spent.ts', 'the same, with the history', (db) => readSpent(db, stepIds)],
    ['ready work', 'load/queues.ts', admin, (db) => readReadyWork(db, JOBS)],
  ];
}
