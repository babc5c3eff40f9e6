/**
 * Reads what is around steps that are not final: children, open scopes, leases of tasks.
 */
import type { ChildFacts } from '../../core/explain/reason.ts';
import { plainArray } from '../array-literal.ts';
import type { Db } from '../connection/client.ts';

/**
 * Returns the children that steps wait for, by the id of the step, each with one of its steps that has begun and is not final.
 * @param childIds children by the id of the step that waits
 */
export async function readAwaitedChildren(
  db: Db,
  childIds: ReadonlyMap<string, string>,
): Promise<Map<string, ChildFacts>> {
  if (childIds.size === 0) return new Map();
  const { rows } = await db.query({
    name: 'read_awaited_children',
    text: `select u.step_id, e.id, e.status, s.key, s.status as step_status, s.waiting_for
             from unnest($1::uuid[], $2::uuid[]) as u(step_id, child_id)
             join workflow_executions e on e.id = u.child_id
             left join lateral (
               select t.key, x.status, x.waiting_for
                 from (select step_template_id, status, waiting_for from workflow_step_executions
                        where workflow_execution_id = e.id and scope = ''
                          and status in ('queued', 'running', 'waiting', 'retrying')
                        order by updated_at limit 1) x
                 join workflow_step_templates t on t.id = x.step_template_id) s on true`,
    values: [plainArray([...childIds.keys()]), plainArray([...childIds.values()])],
  });
  return new Map(
    rows.map((row): [string, ChildFacts] => {
      const { key, step_status: status, waiting_for: waitingFor } = row;
      const step = key === null ? null : { key, status, waitingFor };
      return [row.step_id, { id: row.id, status: row.status, step }];
    }),
  );
}

/** Scopes of one step that are named. */
const MAX_NAMED = 3;

/** Returns the paths of some open scopes, by the id of the step that holds them. Uses workflow_scopes_open. */
export async function readOpenScopes(db: Db, holderIds: readonly string[]): Promise<Map<string, string[]>> {
  if (holderIds.length === 0) return new Map();
  const { rows } = await db.query({
    name: 'read_open_scopes',
    text: `select u.id, array(select path from workflow_scopes
                               where step_execution_id = u.id and status = 'running'
                               order by index limit ${MAX_NAMED}) as paths
             from unnest($1::uuid[]) as u(id)`,
    values: [plainArray(holderIds)],
  });
  return new Map(rows.map(({ id, paths }) => [id, paths]));
}

/** Returns the ends of the leases of those tasks that are claimed, by the id of the step. */
export async function readLeases(db: Db, stepIds: readonly string[]): Promise<Map<string, number>> {
  if (stepIds.length === 0) return new Map();
  const { rows } = await db.query({
    name: 'read_leases',
    text: `select step_execution_id, lease_until from workflow_tasks
            where step_execution_id = any($1::uuid[]) and token is not null`,
    values: [plainArray(stepIds)],
  });
  return new Map(rows.map(({ step_execution_id: id, lease_until: until }) => [id, until.getTime()]));
}
