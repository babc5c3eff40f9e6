/**
 * Statements on workflow_incidents: steps that wait for somebody to decide, and their groups.
 */
import { plainArray, textArray } from '../array-literal.ts';
import { momentOf } from '../clock.ts';
import type { Db } from '../connection/client.ts';
import { guarded, type Statement } from '../statement.ts';

export interface OpenedIncident {
  readonly stepId: string;
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
}

/** SQL of the id of a group (core/hold/incident-group.ts). */
const GROUP = `left(encode(sha256(convert_to(concat_ws(E'\\n', coalesce(e.workspace_id::text, ''), t.name, k.key, u.code), 'UTF8')), 'hex'), 32)`;

const OPEN = guarded(
  `insert into workflow_incidents (step_execution_id, workflow_execution_id, group_id, workspace_id, template, step, code,
                                   message, retryable, opened_at)
   select s.id, e.id, ${GROUP}, e.workspace_id, t.name, k.key, u.code, u.message, u.retryable, ${momentOf(5)}
     from unnest($1::uuid[], $2::text[], $3::text[], $4::boolean[]) as u(id, code, message, retryable)
     join workflow_step_executions s on s.id = u.id
     join workflow_step_templates k on k.id = s.step_template_id
     join workflow_executions e on e.id = s.workflow_execution_id
     join workflow_templates t on t.id = e.workflow_template_id`,
  6,
);

/** @param at see db/clock.ts */
export function openIncidents(rows: readonly OpenedIncident[], at: string | null): Statement {
  return {
    name: 'open_incidents',
    text: OPEN,
    values: [
      plainArray(rows.map(({ stepId }) => stepId)),
      textArray(rows.map(({ code }) => code)),
      textArray(rows.map(({ message }) => message)),
      plainArray(rows.map(({ retryable }) => retryable)),
      at,
      rows.length,
    ],
  };
}

export function closeIncidents(stepIds: readonly string[]): Statement {
  const text = 'delete from workflow_incidents where step_execution_id = any($1::uuid[])';
  return { name: 'close_incidents', text, values: [plainArray(stepIds)] };
}

export interface IncidentGroup {
  readonly id: string;
  readonly template: string;
  readonly step: string;
  readonly code: string;
  readonly message: string;
  readonly count: number;
  readonly firstAt: Date;
  readonly lastAt: Date;
  readonly examples: readonly { execution_id: string; step_id: string; message: string; at: string }[];
}

/** Who sees which incidents: all, those of a workspace, or those of none. */
export interface IncidentScope {
  readonly all: boolean;
  readonly workspaceId: string | null;
}

/**
 * The ids of the groups are found by hopping through an index, so the cost grows with the groups of a page and their incidents,
 * not with all.
 */
const hop = (condition: string) => `
  with recursive g(id) as (
    (select group_id from workflow_incidents where ${condition} and group_id > $1 order by group_id limit 1)
    union all
    (select (select i.group_id from workflow_incidents i where ${condition} and i.group_id > g.id
              order by i.group_id limit 1)
       from g where g.id is not null)
  ), page as (select id from g where id is not null limit $2)`;

const GROUPS = `
  select p.id, l.template, l.step, l.code, l.message, n.count, n.first_at, n.last_at, x.examples
    from page p
   cross join lateral (select template, step, code, message from workflow_incidents i where i.group_id = p.id
                        order by i.opened_at desc, i.step_execution_id desc limit 1) l
   cross join lateral (select count(*)::integer as count, min(opened_at) as first_at, max(opened_at) as last_at
                         from workflow_incidents i where i.group_id = p.id) n
   cross join lateral (
     select json_agg(json_build_object('execution_id', e.workflow_execution_id, 'step_id', e.step_execution_id,
                                       'message', e.message, 'at', to_char(e.opened_at at time zone 'UTC',
                                                                           'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))) as examples
       from (select workflow_execution_id, step_execution_id, message, opened_at from workflow_incidents i
              where i.group_id = p.id order by i.opened_at desc, i.step_execution_id desc limit 5) e) x
   order by p.id`;

/** Returns groups by id. @param after the last id of the page before; empty: the first page */
export async function readIncidentGroups(
  db: Db,
  { all, workspaceId }: IncidentScope,
  after: string,
  limit: number,
): Promise<IncidentGroup[]> {
  const condition = all ? 'true' : workspaceId === null ? 'workspace_id is null' : 'workspace_id = $3::uuid';
  const values = all || workspaceId === null ? [after, limit] : [after, limit, workspaceId];
  const { rows } = await db.query(`${hop(condition)} ${GROUPS}`, values);
  return rows.map((row) => ({
    id: row.id,
    template: row.template,
    step: row.step,
    code: row.code,
    message: row.message,
    count: row.count,
    firstAt: row.first_at,
    lastAt: row.last_at,
    examples: row.examples,
  }));
}

export interface OpenIncident {
  readonly stepId: string;
  readonly executionId: string;
  readonly stepTemplateId: string;
  readonly templateId: string;
  readonly attempt: number;
  readonly code: string;
  readonly message: string;
  /** Of the error. */
  readonly details: unknown;
  readonly retryable: boolean;
}

/** Returns the oldest incidents of a group that the caller sees. */
export async function readIncidents(
  db: Db,
  groupId: string,
  { all, workspaceId }: IncidentScope,
  limit: number,
): Promise<OpenIncident[]> {
  const { rows } = await db.query({
    name: 'read_incidents',
    text: `select i.step_execution_id, i.workflow_execution_id, s.step_template_id, e.workflow_template_id, s.attempt_count,
                  i.code, i.message, s.error_details, i.retryable
             from workflow_incidents i
             join workflow_step_executions s on s.id = i.step_execution_id
             join workflow_executions e on e.id = i.workflow_execution_id
            where i.group_id = $1 and ($2::boolean or i.workspace_id is not distinct from $3::uuid)
            order by i.opened_at, i.step_execution_id limit $4`,
    values: [groupId, all, workspaceId, limit],
  });
  return rows.map((row) => ({
    stepId: row.step_execution_id,
    executionId: row.workflow_execution_id,
    stepTemplateId: row.step_template_id,
    templateId: row.workflow_template_id,
    attempt: row.attempt_count,
    code: row.code,
    message: row.message,
    details: row.error_details,
    retryable: row.retryable,
  }));
}
