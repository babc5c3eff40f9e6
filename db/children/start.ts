/**
 * Inserts child executions, in the commit of the step that starts them.
 */
import { startedChildren } from '../../core/children/left-children.ts';
import type { Plan } from '../../core/plan.ts';
import { scopeName } from '../../core/view.ts';
import { jsonArray, plainArray, textArray } from '../array-literal.ts';
import { guarded, type Statement } from '../statement.ts';

export interface ChildInsert {
  readonly id: string;
  readonly templateId: string;
  /** JSON text. */
  readonly inputs: string;
  readonly requestedVersion: number | null;
  readonly parentId: string;
  /** The name of the scope of the parent that the step is in; empty: the top level. */
  readonly scope: string;
  readonly stepId: string;
  readonly attempt: number;
  readonly isAwaited: boolean;
}

/** Returns the rows of the children that a plan starts. */
export function childrenOf(plan: Plan): ChildInsert[] {
  const { id: parentId, scope, steps } = plan.view;
  return startedChildren(plan).map(({ slot, attempt, child, isAwaited }) => ({
    id: child.id,
    templateId: child.templateId,
    inputs: child.inputs.json,
    requestedVersion: child.requestedVersion,
    parentId,
    scope: scope === null ? '' : scopeName(scope),
    stepId: steps[slot]!.id,
    attempt,
    isAwaited,
  }));
}

/** Workspace, user and priority are those of the parent, whose row this transaction has changed or locked. */
const INSERT = guarded(
  `insert into workflow_executions
     (id, workflow_template_id, status, sequence, inputs, requested_version, user_id, workspace_id, priority,
      parent_execution_id, parent_scope, parent_step_id, parent_attempt, is_awaited, root_execution_id, child_depth)
   select u.id, u.template_id, 'pending', 0, u.inputs, u.version, p.user_id, p.workspace_id, p.priority,
          p.id, u.scope, u.step_id, u.attempt, u.is_awaited, coalesce(p.root_execution_id, p.id),
          coalesce(p.child_depth, 0) + 1
     from unnest($1::uuid[], $2::uuid[], $3::jsonb[], $4::integer[], $5::uuid[], $6::text[], $7::uuid[], $8::integer[],
                 $9::boolean[])
            as u(id, template_id, inputs, version, parent_id, scope, step_id, attempt, is_awaited)
     join workflow_executions p on p.id = u.parent_id
   on conflict do nothing`,
  10,
);

/** Fails the transaction when an attempt has a child already. */
export function insertChildren(rows: readonly ChildInsert[]): Statement {
  return {
    name: 'insert_children',
    text: INSERT,
    values: [
      plainArray(rows.map(({ id }) => id)),
      plainArray(rows.map(({ templateId }) => templateId)),
      jsonArray(rows.map(({ inputs }) => inputs)),
      plainArray(rows.map(({ requestedVersion }) => requestedVersion)),
      plainArray(rows.map(({ parentId }) => parentId)),
      textArray(rows.map(({ scope }) => scope)),
      plainArray(rows.map(({ stepId }) => stepId)),
      plainArray(rows.map(({ attempt }) => attempt)),
      plainArray(rows.map(({ isAwaited }) => isAwaited)),
      rows.length,
    ],
  };
}
