/**
 * Checks that everything open has a reason to be: a job, a timer, a live owner, or an awaited input.
 */

import { ownerIsAlive } from '../engine-alive.ts';
import {
  FINAL_STEP,
  isCalm,
  isStep,
  NEEDED_KEY,
  needsOf,
  OPEN,
  producersOf,
  resolvesEdges,
  type SqlInvariant,
  STEP_QUEUES,
  timerIdOf,
  UNDER_WAY,
  USUAL_GRACE_SECONDS,
  VIEW_OF_STEP,
  WITH_STEPS,
  WITH_TEMPLATES,
} from './invariant.ts';

const OWNER_GRACE_SECONDS = 30;

/**
 * Returns SQL for rows whose job is missing. Rows and jobs are joined by sorting: pg-boss has many indexes that begin
 * with the queue, and with other statistics the planner would find each job by reading a whole queue.
 * @param rows `id`, `execution_id`, `job` (its id) and `detail`
 * @param jobs condition on `j`
 */
function withoutJob(rows: string, jobs: string): string {
  return `
    select min(u.id::text) as id, min(u.execution_id::text)::uuid as execution_id, min(u.detail) as detail
      from (${rows}
            union all
            select null::uuid, null::uuid, j.id, null from {{pgboss}}.job j where ${jobs}) u
     group by u.job having bool_and(u.detail is not null)`;
}

const QUEUED_STEP: SqlInvariant = {
  name: 'queued-step-without-job',
  meaning: 'A queued step has a job that says so, unless its execution is paused.',
  advice: 'Repair it. Find out who deletes jobs: nobody but the engine may.',
  repair: 'writes the job again',
  graceSeconds: USUAL_GRACE_SECONDS,
  from: ['open'],
  offenders: withoutJob(
    `
    select s.id, e.id as execution_id, s.id as job, 'queued, and no queue has a job for it' as detail
      from ${OPEN} ${WITH_STEPS}
     where s.status = 'queued' and e.status <> 'paused' and ${isCalm('s.updated_at')}`,
    `j.name in ${STEP_QUEUES}`,
  ),
};

const WAITING_STEP: SqlInvariant = {
  name: 'waiting-step-without-timer',
  meaning: 'A waiting or retrying step has a timer, or its row says what else it waits for.',
  advice:
    'Repair it. What is left is parked and has a timeout, and no row says which of the two its timer was for: stop or cancel the execution.',
  repair: 'writes the timer again, due when the row says; not of a waiting step that has a timeout',
  graceSeconds: USUAL_GRACE_SECONDS,
  from: ['open'],
  offenders: withoutJob(
    `
    select s.id, e.id as execution_id, s.id as job,
           format('%s until %s, and no timer says so', s.status, coalesce(s.resume_at::text, 'nobody knows when')) as detail
      from ${OPEN} ${WITH_STEPS} where s.status in ('waiting', 'retrying') and (s.resume_at is not null or s.waiting_for is null)
         and not (s.status = 'retrying' and exists (select 1 from workflow_incidents i where i.step_execution_id = s.id offset 0))
         and ${isCalm('s.updated_at')}`,
    `j.name = 'WorkflowExecutionQueue' and j.data ->> 'kind' = 'timer'`,
  ),
};

const PARKED_STEP: SqlInvariant = {
  name: 'parked-step-without-deadline',
  meaning: 'An attempt that was parked and has a timeout has a timer that ends it.',
  advice: 'Repair it: without the timer its timeout is noticed only when the step runs again.',
  repair: 'writes the timer again, due at the deadline',
  graceSeconds: USUAL_GRACE_SECONDS,
  from: ['open'],
  offenders: withoutJob(
    `
    select s.id, e.id as execution_id, ${timerIdOf('s.id', 'd')} as job,
           format('%s, with a deadline at %s, and no timer for it', s.status, s.deadline_at) as detail
      from ${OPEN} ${WITH_STEPS} where s.deadline_at is not null and s.status not in ${FINAL_STEP}
       and ${isCalm('s.updated_at')}`,
    `j.name = 'WorkflowExecutionQueue' and j.data ->> 'kind' = 'step_deadline'`,
  ),
};

const CLAIMED_TASK: SqlInvariant = {
  name: 'claimed-task-without-timer',
  meaning: 'A task that a worker has has a timer, which asks whether its lease is over.',
  advice: 'Repair it: without the timer a worker that falls silent would keep the task for ever.',
  repair: 'writes the timer again, due at the end of the lease',
  graceSeconds: USUAL_GRACE_SECONDS,
  from: ['open'],
  offenders: withoutJob(
    `
    select s.id, e.id as execution_id, ${timerIdOf('s.id', 'c')} as job,
           format('claimed by %s until %s, and no timer for it', w.worker, w.lease_until) as detail
      from ${OPEN} ${WITH_STEPS} join workflow_tasks w on w.step_execution_id = s.id
     where s.status = 'waiting' and w.token is not null and ${isCalm('s.updated_at')}`,
    `j.name = 'WorkflowExecutionQueue' and j.data ->> 'kind' = 'task_lease'`,
  ),
};

const OVERLOOKED_SIGNAL: SqlInvariant = {
  name: 'signal-overlooked',
  meaning: 'A kept signal that a step waits for has a ticket, so that they are brought together.',
  advice: 'Repair it. Find out who deletes jobs: nobody but the engine may.',
  repair: 'writes a ticket; the step takes the signal',
  graceSeconds: USUAL_GRACE_SECONDS,
  from: ['open'],
  offenders: `
    select e.id, e.id as execution_id, min(format('keeps a signal %s, for which step %s waits', k.name, s.id)) as detail
      from ${UNDER_WAY} ${WITH_STEPS}
     cross join lateral (
       select name from workflow_signals x
        where x.workflow_execution_id = e.id and x.name = s.waiting_for ->> 'name' and x.used_at is null
          and (x.scope is null or x.scope = s.scope) and ${isCalm('x.received_at')}
        limit 1) k
     where s.status = 'waiting' and s.waiting_for ->> 'kind' in ('signal', 'webhook') and e.stop_requested_at is null
       and ${isCalm('s.updated_at')}
       and not exists (select from {{pgboss}}.job j
                        where j.name = 'WorkflowExecutionQueue' and j.data ->> 'kind' = 'signals'
                          and j.data ->> 'execution_id' = e.id::text offset 0)
     group by e.id`,
};

const POSTPONED_EXECUTION: SqlInvariant = {
  name: 'postponed-execution-without-timer',
  meaning: 'A pending execution that was put off has a timer; any other is in line by its row.',
  advice: 'Repair it. A row that was written by hand is not a start: use the API or workflow_start.',
  repair: 'writes the timer again, due when the execution is to begin',
  graceSeconds: USUAL_GRACE_SECONDS,
  from: ['open'],
  offenders: withoutJob(
    `
    select e.id, e.id as execution_id, e.id as job, 'put off, and no timer starts it' as detail
      from ${OPEN} where e.status = 'pending' and e.start_after is not null and ${isCalm('e.updated_at')}`,
    `j.name = 'WorkflowExecutionQueue'`,
  ),
};

const DEADLINE: SqlInvariant = {
  name: 'running-execution-without-deadline',
  meaning: 'A running execution whose definition has a timeout has a timer for it.',
  advice: 'Repair it: without the timer it would never time out.',
  repair: 'writes the timer again, due when the timeout is over',
  graceSeconds: USUAL_GRACE_SECONDS,
  from: ['open'],
  offenders: withoutJob(
    `
    select e.id, e.id as execution_id, ${timerIdOf('e.id', 'd')} as job,
           format('has a timeout of %s, and no timer for it', t.definition ->> 'timeout') as detail
      from ${UNDER_WAY}
     cross join lateral (
       select definition from workflow_templates x where x.id = e.workflow_template_id offset 0) t
     where t.definition ->> 'timeout' is not null and ${isCalm('coalesce(e.resumed_at, e.started_at)')}`,
    `j.name = 'WorkflowExecutionQueue'`,
  ),
};

/** Steps that are no compensations run, also in scopes. */
const WINDS_DOWN = `exists (
  select 1 from workflow_step_executions s join workflow_step_templates t on t.id = s.step_template_id
   where s.workflow_execution_id = e.id and s.status = 'running' and t.key !~ '~' offset 0)`;

const STOP_DEADLINE: SqlInvariant = {
  name: 'stopping-execution-without-deadline',
  meaning: 'An execution that is being stopped has a timer that ends its grace time.',
  advice: 'Repair it: without the timer a handler that hears no signal would keep it for ever.',
  repair: 'writes the timer again, due when the grace time is over',
  graceSeconds: USUAL_GRACE_SECONDS,
  from: ['open'],
  offenders: withoutJob(
    `
    select e.id, e.id as execution_id, ${timerIdOf('e.id', '5')} as job,
           format('%s since %s, with steps that run, and no timer ends them',
                  case when e.status = 'compensating' then e.status else 'being stopped' end,
                  coalesce(e.stop_requested_at, e.updated_at)) as detail
      from ${OPEN}
     where case when e.status = 'compensating' then ${isCalm('e.updated_at')} and ${WINDS_DOWN}
                else e.stop_requested_at is not null and ${isCalm('e.stop_requested_at')} end`,
    `j.name = 'WorkflowExecutionQueue'`,
  ),
};

const OWNER: SqlInvariant = {
  name: 'running-step-without-owner',
  meaning: 'A running step belongs to an engine that is alive.',
  advice:
    'Engines take over by themselves within seconds. If it stays, no engine reaches the database: look at their logs.',
  repair: 'takes it over now, as the engines do',
  graceSeconds: OWNER_GRACE_SECONDS,
  from: ['open'],
  offenders: `
    select s.id, e.id as execution_id, format('running on engine %s, which is dead', s.claimed_by) as detail
      from ${OPEN} ${WITH_STEPS} where s.status = 'running' and s.claimed_by is not null
       and not ${ownerIsAlive('s.claimed_by')}
       and not exists (select 1 from execution_engines g
                        where g.id = s.claimed_by and not (${isCalm('g.heartbeat_at')}) offset 0)`,
};

const OWNER_STATUS: SqlInvariant = {
  name: 'owner-contradicts-status',
  meaning: 'A step that is not final has an owner exactly while it runs.',
  advice: 'Somebody wrote the row by hand. Cancel the execution.',
  repair: null,
  graceSeconds: 0,
  from: ['open'],
  offenders: `
    select s.id, e.id as execution_id, format('%s, owner %s', s.status, coalesce(s.claimed_by::text, 'nobody')) as detail
      from ${OPEN} ${WITH_STEPS} where s.status not in ${FINAL_STEP} and (s.status = 'running') <> (s.claimed_by is not null)`,
};

const JOIN: SqlInvariant = {
  name: 'undecided-join',
  meaning: 'A step waits for inputs only while its edges leave open what becomes of it.',
  advice: 'Repair it.',
  repair: 'lets the engine decide the join: the step is queued or skipped',
  graceSeconds: USUAL_GRACE_SECONDS,
  from: ['open'],
  offenders: `
    select s.id, e.id as execution_id, ${VIEW_OF_STEP} as view,
           format('waits, with %s live of %s resolved of %s edges', i.live, i.resolved, edge.total) as detail
      from ${UNDER_WAY} ${WITH_STEPS} ${WITH_TEMPLATES}
     cross join lateral (select count(distinct ${NEEDED_KEY}) as total from ${needsOf('t')}) edge
     cross join lateral (select count(*) as resolved, count(*) filter (where k.live) as live
                           from workflow_input_tracker k where k.step_execution_id = s.id) i
     where e.stop_requested_at is null
       and s.status = 'waiting_inputs' and ${isCalm('s.updated_at')}
       and case when coalesce(t.definition ->> 'join', 'all') = 'all' then i.resolved >= edge.total
                else i.live >= s.required_inputs or edge.total - i.resolved + i.live < s.required_inputs end`,
};

const END: SqlInvariant = {
  name: 'execution-not-ended',
  meaning: 'An execution ends with its last step, and one that is being stopped with the last that runs.',
  advice: 'Repair it. If it stays, a step failed and the execution does not say so: cancel it.',
  repair: 'lets the engine decide how it ends; not when a failure of a step is missing in the execution',
  graceSeconds: USUAL_GRACE_SECONDS,
  from: ['open'],
  offenders: `
    select e.id, e.id as execution_id,
           case when e.stop_requested_at is null then 'running, with every step final'
                else 'being stopped, with no step running' end as detail
      from ${UNDER_WAY}
     where ${isCalm('e.updated_at')}
       and case when e.stop_requested_at is not null then
             (select count(*) from workflow_step_executions s where s.workflow_execution_id = e.id and s.status = 'running') = 0
           else
             (select count(*) from workflow_step_executions s
               where s.workflow_execution_id = e.id and s.scope = '' and s.status in ${FINAL_STEP})
             = (select count(*) from workflow_step_templates t
                 where t.workflow_template_id = e.workflow_template_id and ${isStep('t')}) end`,
};

const STEP_ROW: SqlInvariant = {
  name: 'reached-step-without-row',
  meaning: 'A step has a row from when its first edge is resolved; a root from the start.',
  advice: 'Somebody deleted the row. Cancel the execution and start it again.',
  repair: null,
  graceSeconds: 0,
  from: ['open'],
  offenders: `
    select t.id, e.id as execution_id, format('step %s was reached and has no row', t.key) as detail
      from ${UNDER_WAY}
     cross join lateral (
       select id, key, workflow_template_id, definition from workflow_step_templates x
        where x.workflow_template_id = e.workflow_template_id and ${isStep('x')} offset 0) t
     where not exists (select 1 from workflow_step_executions s
                        where s.workflow_execution_id = e.id and s.scope = '' and s.step_template_id = t.id offset 0)
       and (not exists (select 1 from ${needsOf('t')} offset 0)
            or exists (select 1 from ${producersOf('e.id', "''")}
                        where ${resolvesEdges('p')} offset 0))`,
};

const CANCELLED_STEP: SqlInvariant = {
  name: 'cancelled-step-in-running-execution',
  meaning: 'Steps are cancelled in an execution that ends or is being stopped, or as losers of a race.',
  advice: 'Somebody wrote the row by hand. What waits for the step waits for ever: cancel the execution.',
  repair: null,
  graceSeconds: 0,
  from: ['open'],
  offenders: `
    select s.id, e.id as execution_id, 'cancelled, and nobody stopped the execution' as detail
      from ${OPEN} ${WITH_STEPS} where s.status = 'cancelled' and not s.lost_race and e.stop_requested_at is null
       and e.status <> 'compensating'
       and (s.holder_id is null
            or exists (select 1 from workflow_scopes c
                        where c.step_execution_id = s.holder_id and c.path = s.scope and c.status = 'running' offset 0))`,
};

export const WORK_INVARIANTS: readonly SqlInvariant[] = [
  QUEUED_STEP,
  WAITING_STEP,
  PARKED_STEP,
  CLAIMED_TASK,
  OVERLOOKED_SIGNAL,
  POSTPONED_EXECUTION,
  DEADLINE,
  STOP_DEADLINE,
  OWNER,
  OWNER_STATUS,
  JOIN,
  END,
  STEP_ROW,
  CANCELLED_STEP,
];
