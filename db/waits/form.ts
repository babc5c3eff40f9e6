/**
 * Statements on workflow_forms: the forms that wait for people.
 */
import type { WaitingFor } from '../../core/event.ts';
import { plainArray } from '../array-literal.ts';
import { momentOf } from '../clock.ts';
import type { Db } from '../connection/client.ts';
import type { Statement } from '../statement.ts';

/** A form that begins to wait. */
export interface OpenedForm {
  readonly id: string;
  /** Milliseconds until its first reminder; null: there is none. */
  readonly remindMs: number | null;
}

const OPEN = `
  insert into workflow_forms (step_execution_id, remind_at)
  select id, ${momentOf(3)} + remind_ms * interval '1 millisecond'
    from unnest($1::uuid[], $2::double precision[]) as u(id, remind_ms)
  on conflict (step_execution_id) do update set remind_at = excluded.remind_at`;

/** @param at see db/clock.ts */
export function openForms(rows: readonly OpenedForm[], at: string | null): Statement {
  return {
    name: 'open_forms',
    text: OPEN,
    values: [plainArray(rows.map(({ id }) => id)), plainArray(rows.map(({ remindMs }) => remindMs)), at],
  };
}

export interface FormFilter {
  /** Undefined: of all workspaces. */
  readonly workspaceId: string | undefined;
  /** Undefined: whoever they are assigned to. */
  readonly assignee: string | undefined;
  /** The last id of the page before. */
  readonly after: string | undefined;
  readonly limit: number;
}

export interface WaitingForm {
  readonly stepId: string;
  readonly executionId: string;
  readonly templateId: string;
  readonly stepTemplateId: string;
  readonly scope: string;
  readonly waitingFor: WaitingFor;
  readonly parkedAt: Date;
  readonly deadlineAt: Date | null;
}

const LIST = `
  select s.id, s.workflow_execution_id, e.workflow_template_id, s.step_template_id, s.scope, s.waiting_for, s.parked_at,
         s.deadline_at
    from workflow_forms f
    join workflow_step_executions s on s.id = f.step_execution_id
    join workflow_executions e on e.id = s.workflow_execution_id
   where f.step_execution_id > $1 and s.status = 'waiting' and s.waiting_for ->> 'kind' = 'form' and e.removed_at is null
     and ($2::uuid is null or e.workspace_id = $2)
     and ($3::text is null or s.waiting_for -> 'assignees' @> to_jsonb($3::text))
   order by f.step_execution_id
   limit $4`;

const FIRST = '00000000-0000-0000-0000-000000000000';

/** Returns forms that wait, the oldest step first. Uses the primary keys. */
export async function listForms(
  db: Db,
  { workspaceId, assignee, after, limit }: FormFilter,
): Promise<WaitingForm[]> {
  const { rows } = await db.query({
    name: 'list_forms',
    text: LIST,
    values: [after ?? FIRST, workspaceId ?? null, assignee ?? null, limit],
  });
  return rows.map((row) => ({
    stepId: row.id,
    executionId: row.workflow_execution_id,
    templateId: row.workflow_template_id,
    stepTemplateId: row.step_template_id,
    scope: row.scope,
    waitingFor: row.waiting_for,
    parkedAt: row.parked_at,
    deadlineAt: row.deadline_at,
  }));
}

const CLAIM = `
  update workflow_forms
     set remind_at = clock_timestamp() + $1 * interval '1 millisecond'
   where step_execution_id in (select step_execution_id from workflow_forms
                                where remind_at <= clock_timestamp() order by remind_at limit $2)
     and remind_at <= clock_timestamp()
  returning step_execution_id`;

/**
 * Takes reminders that are due, and puts them off in case that their engine does not send them: each is due for one engine
 * at a time. Uses workflow_forms_remind_at.
 */
export async function claimReminders(db: Db, againMs: number, limit: number): Promise<string[]> {
  const { rows } = await db.query({ name: 'claim_reminders', text: CLAIM, values: [againMs, limit] });
  return rows.map((row) => row.step_execution_id);
}

export interface RemindedForm {
  readonly stepId: string;
  readonly executionId: string;
  readonly waitingFor: WaitingFor;
}

const REMINDED = `
  select id, workflow_execution_id, waiting_for
    from workflow_step_executions
   where id = any($1::uuid[]) and status = 'waiting' and waiting_for ->> 'kind' = 'form'`;

/** Returns those forms that still wait. Uses the primary key. */
export async function readRemindedForms(db: Db, stepIds: readonly string[]): Promise<RemindedForm[]> {
  const { rows } = await db.query({
    name: 'read_reminded_forms',
    text: REMINDED,
    values: [plainArray(stepIds)],
  });
  return rows.map((row) => ({
    stepId: row.id,
    executionId: row.workflow_execution_id,
    waitingFor: row.waiting_for,
  }));
}

const NEXT = `
  update workflow_forms set remind_at = clock_timestamp() + $2::double precision * interval '1 millisecond'
   where step_execution_id = $1`;

/** Sets the next reminder of a form; null: it was the last. */
export async function setNextReminder(db: Db, stepId: string, afterMs: number | null): Promise<void> {
  await db.query({ name: 'set_next_reminder', text: NEXT, values: [stepId, afterMs] });
}

const FORGET = `
  delete from workflow_forms
   where step_execution_id in (select f.step_execution_id
                                 from workflow_forms f
                                 join workflow_step_executions s on s.id = f.step_execution_id
                                where s.completed_at is not null
                                limit $1)`;

/** Forgets forms that are over. */
export async function forgetForms(db: Db, limit: number): Promise<void> {
  await db.query({ name: 'forget_forms', text: FORGET, values: [limit] });
}
