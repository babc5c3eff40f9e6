/**
 * Lists executions, without their payloads.
 */
import type { Db } from '../connection/client.ts';
import { type ExecutionListRow, HEAD, toHead } from '../execution-queries.ts';

export interface ExecutionListFilter {
  readonly workspaceId?: string | undefined;
  readonly status?: string | undefined;
  readonly template?: string | undefined;
  readonly tag?: string | undefined;
  readonly since?: string | undefined;
  readonly until?: string | undefined;
  readonly q?: string | undefined;
  /** Children of this execution. */
  readonly parent?: string | undefined;
  /** This execution, and all below it. */
  readonly root?: string | undefined;
  /** Id of the last row of the previous page. */
  readonly before?: string | undefined;
  readonly limit: number;
}

/** Returns executions, newest first; only those that no step has started, unless a parent or a root is named. Ids grow with time, so a page stays right while rows are added. */
export async function listExecutions(db: Db, filter: ExecutionListFilter): Promise<ExecutionListRow[]> {
  const values: unknown[] = [];
  const where = ['e.removed_at is null'];
  const add = (condition: (parameter: string) => string, value: unknown) => {
    if (value === undefined) return;
    values.push(value);
    where.push(condition(`$${values.length}`));
  };
  add((p) => `e.workspace_id = ${p}`, filter.workspaceId);
  add((p) => `e.status = ${p}`, filter.status);
  add((p) => `t.name = ${p}`, filter.template);
  add((p) => `e.tags @> array[${p}::text]`, filter.tag);
  add((p) => `e.created_at >= ${p}::timestamptz`, filter.since);
  add((p) => `e.created_at < ${p}::timestamptz`, filter.until);
  add((p) => `e.id < ${p}::uuid`, filter.before);
  add((p) => `e.parent_execution_id = ${p}::uuid`, filter.parent);
  add((p) => `(e.root_execution_id = ${p}::uuid or e.id = ${p}::uuid)`, filter.root);
  if (filter.parent === undefined && filter.root === undefined) where.push('e.parent_step_id is null');
  add(
    (p) => `(e.id::text like '%' || lower(${p}) || '%' or lower(t.name) like '%' || lower(${p}) || '%'
             or exists (select 1 from unnest(e.tags) tag where lower(tag) like '%' || lower(${p}) || '%'))`,
    filter.q === undefined ? undefined : filter.q.replace(/[\\%_]/g, '\\$&'),
  );
  values.push(filter.limit);
  const { rows } = await db.query(
    `select ${HEAD}, e.error
       from workflow_executions e join workflow_templates t on t.id = e.workflow_template_id
     where ${where.join(' and ')}
      order by e.id desc
      limit $${values.length}`,
    values,
  );
  return rows.map((row) => ({ ...toHead(row), error: row.error }));
}
