/**
 * Statements on workflow_templates and workflow_step_templates.
 */
import type { JsonObject } from '../core/json/json.ts';
import { EngineError } from '../core/problem.ts';
import type { StoredTemplate } from '../core/template.ts';
import { plainArray, textArray } from './array-literal.ts';
import type { Db } from './connection/client.ts';
import { lockRow } from './connection/named-lock.ts';

/** The definition is read as text: `jsonb` keeps no order of keys, and the order of steps is part of a definition. */
const COLUMNS = `
  t.id, t.name, t.version, t.workspace_id, t.description, t.definition_source, t.definition_hash, t.created_at,
  t.archived_at,
  (select json_agg(json_build_object('id', s.id, 'key', s.key, 'type', s.type) order by s.position)
     from workflow_step_templates s where s.workflow_template_id = t.id) as steps`;

export async function readTemplateById(db: Db, id: string): Promise<StoredTemplate | null> {
  const { rows } = await db.query(
    `select ${COLUMNS} from workflow_templates t where t.id = $1 and t.definition_source is not null`,
    [id],
  );
  return rows.length === 0 ? null : toTemplate(rows[0]);
}

/** Returns the requested version, or the latest; archived ones too. */
export async function readTemplateByName(
  db: Db,
  workspaceId: string | null,
  name: string,
  version: number | null,
): Promise<StoredTemplate | null> {
  // One condition for each of the two partial indexes; `is not distinct from` could use neither.
  const inWorkspace =
    workspaceId === null ? 't.workspace_id is null and $1::uuid is null' : 't.workspace_id = $1';
  const { rows } = await db.query(
    `select ${COLUMNS}
       from workflow_templates t
      where ${inWorkspace} and t.name = $2 and t.definition_source is not null
        and ($3::integer is null or t.version = $3)
      order by t.version desc
      limit 1`,
    [workspaceId, name, version],
  );
  return rows.length === 0 ? null : toTemplate(rows[0]);
}

/** The version that a start refers to, without its definition. */
export interface FoundTemplate {
  readonly id: string;
  readonly version: number;
  readonly workspaceId: string | null;
  readonly isArchived: boolean;
}

const FOUND = 'id, version, workspace_id, archived_at is not null as archived';

export async function findTemplateById(db: Db, id: string): Promise<FoundTemplate | null> {
  const { rows } = await db.query({
    name: 'find_template_by_id',
    text: `select ${FOUND} from workflow_templates where id = $1 and definition_source is not null`,
    values: [id],
  });
  return rows.length === 0 ? null : toFound(rows[0]);
}

/** Finds the requested version, or the latest; archived ones too. */
export async function findTemplateByName(
  db: Db,
  workspaceId: string | null,
  name: string,
  version: number | null,
): Promise<FoundTemplate | null> {
  const { rows } = await db.query({
    name: workspaceId === null ? 'find_template' : 'find_workspace_template',
    text: `select ${FOUND}
             from workflow_templates
            where ${workspaceId === null ? 'workspace_id is null and $1::uuid is null' : 'workspace_id = $1'}
              and name = $2 and definition_source is not null and ($3::integer is null or version = $3)
            order by version desc
            limit 1`,
    values: [workspaceId, name, version],
  });
  return rows.length === 0 ? null : toFound(rows[0]);
}

/** Serializes publishers of one name, so that versions have no gaps and no duplicates. */
export async function lockTemplateName(
  tx: Db,
  workspaceId: string | null,
  name: string,
  advisoryLocks = true,
): Promise<void> {
  const lock = `template:${workspaceId ?? ''}:${name}`;
  if (advisoryLocks) await tx.query(`select pg_advisory_xact_lock(hashtextextended($1, 0))`, [lock]);
  else await lockRow(tx, lock);
}

export interface TemplateInsert {
  readonly id: string;
  readonly name: string;
  readonly version: number;
  readonly workspaceId: string | null;
  readonly description: string | null;
  /** JSON text. */
  readonly definition: string;
  readonly definitionHash: string;
  /** All steps, by position. */
  readonly steps: readonly StepInsert[];
}

export interface StepInsert {
  readonly id: string;
  /** The path: `outer/each/key`. */
  readonly key: string;
  readonly type: string;
  /** The keys that lead to the step in the definition's `steps`. */
  readonly place: readonly string[];
}

/** The definition is taken out of its row once, as each look into a stored `jsonb` unpacks all of it. */
export async function insertTemplate(tx: Db, template: TemplateInsert): Promise<void> {
  await tx.query(
    `insert into workflow_templates
       (id, name, version, workspace_id, description, definition, definition_source, definition_hash)
     values ($1, $2, $3, $4, $5, $6::text::jsonb, $6::text, $7)`,
    [
      template.id,
      template.name,
      template.version,
      template.workspaceId,
      template.description,
      template.definition,
      template.definitionHash,
    ],
  );
  const { steps } = template;
  await tx.query(
    `with written as materialized (select definition -> 'steps' as steps from workflow_templates where id = $1)
     insert into workflow_step_templates (id, workflow_template_id, key, type, position, definition)
     select t.id, $1, t.key, t.type, t.position - 1, written.steps #> t.place::text[]
       from written, unnest($2::uuid[], $3::text[], $4::text[], $5::text[]) with ordinality
            as t(id, key, type, place, position)`,
    [
      template.id,
      plainArray(steps.map(({ id }) => id)),
      textArray(steps.map(({ key }) => key)),
      textArray(steps.map(({ type }) => type)),
      textArray(steps.map(({ place }) => textArray(place))),
    ],
  );
}

/** Archives every version of a name; returns how many were not archived before. */
export async function archiveTemplates(db: Db, workspaceId: string | null, name: string): Promise<number> {
  const { rowCount } = await db.query(
    `update workflow_templates
        set archived_at = now(), updated_at = now()
      where workspace_id is not distinct from $1 and name = $2 and archived_at is null and definition_source is not null`,
    [workspaceId, name],
  );
  return rowCount ?? 0;
}

export interface TemplateListRow {
  readonly id: string;
  readonly name: string;
  readonly version: number;
  readonly description: string | null;
  readonly createdAt: Date;
}

/** Returns the latest version of each name that is not archived, by name, after `afterName`. */
export async function listTemplates(
  db: Db,
  workspaceId: string | null,
  afterName: string | null,
  limit: number,
): Promise<TemplateListRow[]> {
  const { rows } = await db.query(
    `select distinct on (name collate "C") id, name, version, description, created_at
       from workflow_templates
      where workspace_id is not distinct from $1 and archived_at is null and definition_source is not null
        and ($2::text is null or name collate "C" > $2)
      order by name collate "C", version desc
      limit $3`,
    [workspaceId, afterName, limit],
  );
  return rows.map((row) => ({
    id: row.id,
    name: row.name,
    version: row.version,
    description: row.description,
    createdAt: row.created_at,
  }));
}

// biome-ignore lint/suspicious/noExplicitAny: a row from the driver
function toFound(row: any): FoundTemplate {
  return { id: row.id, version: row.version, workspaceId: row.workspace_id, isArchived: row.archived };
}

// biome-ignore lint/suspicious/noExplicitAny: a row from the driver
function toTemplate(row: any): StoredTemplate {
  return {
    id: row.id,
    name: row.name,
    version: row.version,
    workspaceId: row.workspace_id,
    description: row.description,
    definition: parseSource(row),
    source: row.definition_source,
    definitionHash: row.definition_hash,
    createdAt: row.created_at,
    archivedAt: row.archived_at,
    steps: row.steps ?? [],
  };
}

/** @throws EngineError('invalid_definition'): the stored definition is not JSON */
function parseSource({ name, version, definition_source: source }: Record<string, string>): JsonObject {
  try {
    return JSON.parse(source!) as JsonObject;
  } catch (error) {
    const message = `Template ${name} version ${version} cannot be run: its definition is no JSON.`;
    throw new EngineError('invalid_definition', message, [], error);
  }
}
