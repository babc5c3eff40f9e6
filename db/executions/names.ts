/**
 * Looks up what the texts of a list's filter stand for: names of templates, and texts that may be a whole id, key, tag, error
 * code or name.
 */
import { plainArray } from '../array-literal.ts';
import type { Db } from '../connection/client.ts';
import { isUuid } from '../uuid.ts';

const OF_WORKSPACE = `definition_source is not null and ($2::uuid is null or workspace_id = $2::uuid)`;

/** Returns the ids of all versions of a template. @param workspaceId undefined: of every workspace */
export async function templatesNamed(db: Db, name: string, workspaceId?: string): Promise<string[]> {
  const { rows } = await db.query(`select id from workflow_templates where name = $1 and ${OF_WORKSPACE}`, [
    name,
    workspaceId ?? null,
  ]);
  return rows.map(({ id }) => id);
}

/** Returns the ids of all versions of templates with a text in their names, in any case. */
export async function templatesLike(db: Db, text: string, workspaceId?: string): Promise<string[]> {
  const pattern = `%${text.toLowerCase().replace(/[\\%_]/g, '\\$&')}%`;
  const { rows } = await db.query(
    `select id from workflow_templates where lower(name) like $1 and ${OF_WORKSPACE}`,
    [pattern, workspaceId ?? null],
  );
  return rows.map(({ id }) => id);
}

const EXACT = (most: number) => `
  (select id from workflow_executions where id = $1::uuid)
  union
  (select id from workflow_executions where idempotency_key = $2 limit ${most + 1})
  union
  (select id from workflow_executions where tags <> '{}' and tags @> array[$2::text] limit ${most + 1})
  union
  (select id from workflow_executions
    where parent_step_id is null and status in ('failed', 'cancelled', 'timed_out') and error ->> 'code' = $2
    limit ${most + 1})
  union
  (select e.id
     from unnest($3::uuid[]) as t(id)
    cross join lateral (
      select id from workflow_executions
       where workflow_template_id = t.id and parent_step_id is null
       order by created_at desc, id desc limit ${most + 1}) e)
  limit ${most + 1}`;

/**
 * Returns the executions whose id, key, error code or template is exactly a text, or that have it as a tag. Null: there are
 * more than `most`. Uses an index for each.
 * @param templates ids of the versions of the template of that name
 */
export async function executionsNamed(
  db: Db,
  text: string,
  templates: readonly string[],
  most: number,
): Promise<string[] | null> {
  const id = isUuid(text) ? text : null;
  const { rows } = await db.query(EXACT(most), [id, text, plainArray(templates)]);
  return rows.length > most ? null : rows.map((row) => row.id);
}
