/**
 * Statements of a retry besides those on steps: executions and scopes that go on, and rows that are gone.
 */
import type { ScopeId } from '../../core/view.ts';
import { plainArray } from '../array-literal.ts';
import { momentOf } from '../clock.ts';
import { deleteBelow } from '../scopes/reopen.ts';
import { guarded, type Statement } from '../statement.ts';

/** The time from which the timeout of an execution counts is that of its last retry. */
const RESUME = guarded(
  `update workflow_executions
      set stop_requested_at = null, stop_reason = null, due_status = null, parent_compensates = null,
          resumed_at = greatest(${momentOf(2)}, created_at), resume_count = resume_count + 1,
          started_at = coalesce(started_at, greatest(${momentOf(2)}, created_at))
    where id = any($1::uuid[])`,
  3,
);

/** Comes after the change of the execution's status. @param at see db/clock.ts */
export function resumeExecutions(ids: readonly string[], at: string | null): Statement {
  return { name: 'resume_executions', text: RESUME, values: [plainArray(ids), at, ids.length] };
}

/** A scope that is opened again as it was. */
export interface ReopenedScopeRow extends ScopeId {
  /** The run of its holder: its end counts for this one. */
  readonly run: number;
  readonly fromSequence: number;
  /** See ScopeChange. */
  readonly depth: number;
}

const REOPEN = guarded(
  `update workflow_scopes c
      set status = 'running', run = u.run, sequence = c.sequence + 1, outputs = null, error = null, completed_at = null,
          stop_requested_at = null, due_status = null
     from (select * from unnest($1::uuid[], $2::integer[], $3::integer[], $4::bigint[], $5::integer[])
             as t(holder, index, run, from_sequence, depth)
            order by depth, holder, index) u
    where c.step_execution_id = u.holder and c.index = u.index and c.sequence = u.from_sequence
      and c.status in ('completed', 'failed', 'cancelled')`,
  6,
);

export function reopenScopes(rows: readonly ReopenedScopeRow[]): Statement {
  return {
    name: 'reopen_scopes',
    text: REOPEN,
    values: [
      plainArray(rows.map((row) => row.holderId)),
      plainArray(rows.map((row) => row.index)),
      plainArray(rows.map((row) => row.run)),
      plainArray(rows.map((row) => row.fromSequence)),
      plainArray(rows.map((row) => row.depth)),
      rows.length,
    ],
  };
}

/** An edge that is open again. */
export interface ReopenedEdge {
  readonly stepId: string;
  readonly fromStepId: string;
}

/** Deletes what the tracker knows of edges. */
export function deleteInputs(edges: readonly ReopenedEdge[]): Statement {
  return {
    name: 'delete_inputs',
    text: `delete from workflow_input_tracker i using unnest($1::uuid[], $2::uuid[]) as u(step_id, from_step_id)
            where i.step_execution_id = u.step_id and i.from_step_execution_id = u.from_step_id`,
    values: [
      plainArray(edges.map(({ stepId }) => stepId)),
      plainArray(edges.map(({ fromStepId }) => fromStepId)),
    ],
  };
}

/** A webhook step that begins anew. */
export interface ReopenedHook {
  readonly executionId: string;
  readonly stepId: string;
}

/** Forgets the requests that steps have used: their URLs take one again. Uses workflow_signals_once. */
export function reopenHooks(hooks: readonly ReopenedHook[]): Statement {
  return {
    name: 'reopen_hooks',
    text: `delete from workflow_signals g using unnest($1::uuid[], $2::uuid[]) as u(execution_id, step_id)
            where g.workflow_execution_id = u.execution_id and g.step_execution_id = u.step_id
              and g.signal_id like 'webhook:%'`,
    values: [
      plainArray(hooks.map(({ executionId }) => executionId)),
      plainArray(hooks.map(({ stepId }) => stepId)),
    ],
  };
}

export function deleteSteps(ids: readonly string[]): Statement {
  return {
    name: 'delete_steps',
    text: 'delete from workflow_step_executions where id = any($1::uuid[])',
    values: [plainArray(ids)],
  };
}

/** Scopes below are found by their holders, level by level. The execution of a step is found by its id. */
const DELETE_STEPS_BELOW = deleteBelow(
  'select c.workflow_execution_id, c.path from workflow_scopes c where c.step_execution_id = any($1::uuid[])',
);

/** Deletes the scopes of steps, with all that is in them. */
export function deleteScopes(holderIds: readonly string[]): Statement[] {
  const values = [plainArray(holderIds)];
  const own = (table: string): Statement => ({
    name: `delete_of_holders_${table}`,
    text: `delete from ${table} where step_execution_id = any($1::uuid[])`,
    values,
  });
  return [
    { name: 'delete_steps_below', text: DELETE_STEPS_BELOW, values },
    own('workflow_scopes'),
    own('workflow_held_scopes'),
    own('workflow_scope_items'),
  ];
}
