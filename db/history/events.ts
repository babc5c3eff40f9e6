/**
 * Reads the events of an execution, or of a scope, from the rows that are there anyway: a step's row has its last status
 * and the transition that gave it; rows of attempts and statuses have what the step's row does not tell any more.
 *
 * A status that was passed and has no row is in no event. Final statuses and ends of attempts always have one.
 */
import type { EventPlace } from '../../core/history/event-id.ts';
import type { EndedOutcome } from '../../core/plan.ts';
import type { ExecutionStatus, StepStatus } from '../../core/status.ts';
import { plainArray } from '../array-literal.ts';
import type { Db } from '../connection/client.ts';

/** The execution, or the scope, that a stream is of. */
export interface StreamHead {
  readonly sequence: number;
  /** The transitions of a scope before it was opened anew, from which on its sequence counts. */
  readonly first: number;
  /** Its own statuses, with the transition that gave each, in order. */
  readonly statuses: readonly OwnStatus[];
}

export interface OwnStatus {
  readonly sequence: number;
  readonly status: ExecutionStatus;
  readonly at: Date;
}

const HEAD = `
  select e.sequence, e.status, e.created_at, e.started_at, e.completed_at,
         (select json_agg(json_build_object('sequence', t.sequence, 'status', t.status, 'at', t.at) order by t.sequence)
            from workflow_execution_statuses t where t.workflow_execution_id = e.id) as kept
    from workflow_executions e
   where e.id = $1 and e.removed_at is null`;

/** Returns an execution; null: it is gone. Uses primary keys. */
export async function readExecutionHead(db: Db, executionId: string): Promise<StreamHead | null> {
  const { rows } = await db.query({ name: 'read_execution_head', text: HEAD, values: [executionId] });
  const [row] = rows;
  if (row === undefined) return null;
  const kept: OwnStatus[] = (row.kept ?? []).map(
    (each: { sequence: number; status: ExecutionStatus; at: string }) => ({
      ...each,
      at: new Date(each.at),
    }),
  );
  const statuses: OwnStatus[] = [{ sequence: 0, status: 'pending', at: row.created_at }];
  if (row.started_at !== null && beganFirst(kept))
    statuses.push({ sequence: 1, status: 'running', at: row.started_at });
  statuses.push(...kept);
  if (row.completed_at !== null)
    statuses.push({ sequence: row.sequence, status: row.status, at: row.completed_at });
  return { sequence: row.sequence, first: 0, statuses };
}

/**
 * Returns whether an execution that has begun did so in its first transition, which no kept status tells: what was done to
 * it while it was pending came before.
 */
function beganFirst(kept: readonly OwnStatus[]): boolean {
  const running = kept.findIndex(({ status }) => status === 'running');
  return running === -1 || (running > 0 && kept[running - 1]!.status !== 'pending');
}

const SCOPE_HEAD = `
  select c.sequence, c.first_sequence, c.status, c.created_at, c.completed_at
    from workflow_step_executions s
    join workflow_scopes c on c.step_execution_id = s.holder_id
     and c.index = substring(s.scope from '\\[([0-9]+)\\]$')::integer
   where s.workflow_execution_id = $1 and s.scope = $2
   limit 1`;

/** Returns a scope; null: there is none. Uses workflow_step_executions_scope_step and workflow_scopes_pkey. */
export async function readScopeHead(db: Db, executionId: string, scope: string): Promise<StreamHead | null> {
  const { rows } = await db.query({
    name: 'read_scope_head',
    text: SCOPE_HEAD,
    values: [executionId, scope],
  });
  const [row] = rows;
  if (row === undefined) return null;
  const statuses: OwnStatus[] = [{ sequence: 1, status: 'running', at: row.created_at }];
  if (row.completed_at !== null && row.status !== 'compensating')
    statuses.push({ sequence: row.sequence, status: row.status, at: row.completed_at });
  return { sequence: row.sequence, first: row.first_sequence, statuses };
}

/** A status of a step. */
export interface StepHappening {
  readonly stepId: string;
  /** The path of the step in its template. */
  readonly path: string;
  readonly place: EventPlace;
  readonly status: StepStatus;
  readonly attempt: number;
  /** Of an attempt that ended; null: none did. */
  readonly outcome: EndedOutcome | 'completed' | 'cancelled' | null;
  readonly errorCode: string | null;
  readonly at: Date;
}

const ENDED = (status: string, attempt: string) =>
  `case when ${status} in ('completed', 'cancelled') and ${attempt} > 0 then ${status} end`;

const EVENTS = (order: 'asc' | 'desc') => `
  with happened as (
    select s.id as step_id, s.step_template_id, s.sequence, 0 as source, s.status, s.attempt_count as attempt,
           ${ENDED('s.status', 's.attempt_count')} as outcome, s.error_code, coalesce(s.completed_at, s.updated_at) as at
      from workflow_step_executions s
     where s.workflow_execution_id = $1 and s.scope = $2 and s.sequence between $3 and $5
    union all
    select p.step_execution_id, s.step_template_id, p.sequence, 1, p.status, p.attempt,
           ${ENDED('p.status', 'p.attempt')}, p.error_code, p.at
      from workflow_step_statuses p join workflow_step_executions s on s.id = p.step_execution_id
     where p.workflow_execution_id = $1 and p.scope = $2 and p.sequence between $3 and $5
    union all
    select a.step_execution_id, s.step_template_id, a.sequence, 2, a.status, a.attempt, a.outcome, a.error_code, a.ended_at
      from workflow_step_attempts a join workflow_step_executions s on s.id = a.step_execution_id
     where a.workflow_execution_id = $1 and a.scope = $2 and a.sequence between $3 and $5)
  select distinct on (h.sequence, t.position) h.*, t.key, t.position
    from happened h join workflow_step_templates t on t.id = h.step_template_id
   where (h.sequence, t.position) > ($3::bigint, $4::bigint) and (h.sequence, t.position) < ($5::bigint, $6::bigint)
   order by h.sequence ${order}, t.position ${order}, h.source desc
   limit $7`;

const FORWARDS = EVENTS('asc');
const BACKWARDS = EVENTS('desc');

/** The events between two places, both of them left out. */
export interface EventRange {
  readonly after: EventPlace;
  readonly before: EventPlace;
  readonly limit: number;
  /** Takes the last ones of the range. */
  readonly fromEnd: boolean;
}

/**
 * Returns what happened to the steps of a scope, in order. Uses workflow_step_executions_scope_step, the indexes
 * workflow_step_statuses_history and workflow_step_attempts_history, and primary keys.
 * @param scope empty: the top level
 */
export async function readHappenings(
  db: Db,
  executionId: string,
  scope: string,
  { after, before, limit, fromEnd }: EventRange,
): Promise<StepHappening[]> {
  const { rows } = await db.query({
    name: fromEnd ? 'read_last_events' : 'read_events',
    text: fromEnd ? BACKWARDS : FORWARDS,
    values: [executionId, scope, after.sequence, after.n, before.sequence, before.n, limit],
  });
  const happened = rows.map((row) => ({
    stepId: row.step_id,
    path: row.key,
    place: { sequence: row.sequence, n: row.position },
    status: row.status,
    attempt: row.attempt,
    outcome: row.outcome,
    errorCode: row.error_code,
    at: row.at,
  }));
  return fromEnd ? happened.reverse() : happened;
}

/** Returns those of the executions that have gone on since a transition. Uses the primary key. */
export async function readAdvanced(
  db: Db,
  seen: readonly { readonly executionId: string; readonly sequence: number }[],
): Promise<string[]> {
  const { rows } = await db.query({
    name: 'read_advanced',
    text: `select u.id::text from unnest($1::uuid[], $2::bigint[]) as u(id, sequence)
             left join workflow_executions e on e.id = u.id
            where e.id is null or e.removed_at is not null or e.sequence > u.sequence`,
    values: [
      plainArray(seen.map(({ executionId }) => executionId)),
      plainArray(seen.map(({ sequence }) => sequence)),
    ],
  });
  return rows.map(({ id }) => id);
}
