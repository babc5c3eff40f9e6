/**
 * The statements of child executions, for docs/sql.md: see query-plans.ts.
 */
import {
  awaitOpenChildren,
  insertChildEnds,
  insertChildrenOver,
  readOpenChildren,
  readOpenChildrenOf,
  readOutputsOfChildren,
  withOpenChildren,
} from '../../../db/children/end.ts';
import { insertChildren } from '../../../db/children/start.ts';
import { readChildren, readChildrenOfScopes, readPlaceInTree } from '../../../db/children/tree.ts';
import type { Statement } from '../../../db/statement.ts';
import { newId } from '../../../db/uuid.ts';
import type { Filled } from './filled-database.ts';
import type { PlannedQuery } from './query-plans.ts';
import type { PlannedRead } from './scope-plans.ts';

export function childCommits({ executionIds, stepIds, templateId }: Filled): PlannedQuery[] {
  const [parentId] = executionIds as [string];
  const [stepId] = stepIds as [string];
  const perCommit = (file: string, statement: Statement): PlannedQuery => ({
    name: statement.name!,
    from: `db/children/${file}`,
    when: 'once per commit that has such rows; never where no step starts children',
    lane: true,
    statement,
  });
  const child = { id: newId(), templateId, inputs: '{}', requestedVersion: null, scope: '' };
  const event = { child: parentId, attempt: 1, failure: null };
  return [
    perCommit('start.ts', insertChildren([{ ...child, parentId, stepId, attempt: 1, isAwaited: true }])),
    perCommit('end.ts', insertChildEnds([{ id: newId(), key: parentId, stepId, event }])),
    perCommit('end.ts', insertChildrenOver([{ id: newId(), key: parentId, event: { over: newId() } }])),
  ];
}

export function childReads({ executionIds, stepIds, stepTemplateId }: Filled): PlannedRead[] {
  const [executionId] = executionIds as [string];
  const paths = ['each[0]'];
  const ends = 'an execution that ends before its children';
  const undoes = 'an execution with children that has something to undo';
  return [
    [
      'read_place_in_tree',
      'children/tree.ts',
      'the start of a child',
      (db) => readPlaceInTree(db, executionId),
    ],
    ['read_open_children', 'children/end.ts', ends, (db) => readOpenChildren(db, executionId)],
    [
      'read_open_children_of_steps',
      'children/end.ts',
      'a step that ends before its child',
      (db) => readOpenChildrenOf(db, stepIds),
    ],
    ['lock_open_children', 'children/end.ts', undoes, (db) => awaitOpenChildren(db, executionId)],
    ['executions_with_open_children', 'children/end.ts', undoes, (db) => withOpenChildren(db, executionIds)],
    [
      'read_outputs_of_children',
      'children/end.ts',
      'a parent that hears of the end of its child',
      (db) => readOutputsOfChildren(db, executionIds),
    ],
    ['read_children', 'children/tree.ts', 'a status request', (db) => readChildren(db, stepIds)],
    [
      'read_children_of_scopes',
      'children/tree.ts',
      'a list of scopes that start children',
      (db) => readChildrenOfScopes(db, executionId, { paths, stepTemplateIds: [stepTemplateId] }),
    ],
  ];
}
