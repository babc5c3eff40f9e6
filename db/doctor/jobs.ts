/**
 * Checks of jobs: the row of each job awaits it, it can be fetched, and the queues keep jobs as long as the engine
 * needs.
 */
import { TIMER_PRIORITY } from '../../core/jobs.ts';
import {
  FINAL_EXECUTION,
  FINAL_STEP,
  idIn,
  isCalm,
  QUEUES,
  type SqlInvariant,
  timerIdOf,
  USUAL_GRACE_SECONDS,
} from './invariant.ts';

const JOBS = `{{pgboss}}.job j where j.name in ${QUEUES}`;
const DELETES = 'deletes the job';
const ACTIVE_GRACE_SECONDS = 60;
const YEAR_SECONDS = 365 * 24 * 3600;

const STEP_OVER: SqlInvariant = {
  name: 'job-of-final-step',
  meaning: 'A job is for a step that is there and not final.',
  advice: 'Repair it. It does no harm: an engine that fetches it drops it.',
  repair: DELETES,
  graceSeconds: USUAL_GRACE_SECONDS,
  from: ['jobs'],
  offenders: `
    select j.id, ${idIn('execution_id')} as execution_id, j.name as queue,
           format('a %s of step %s, which is final or missing', j.data ->> 'kind', j.data ->> 'step_id') as detail
      from ${JOBS} and j.data ->> 'kind' in ('step', 'timer', 'step_deadline') and ${isCalm('j.created_on')}
       and not exists (select 1 from workflow_step_executions s
                        where s.id = ${idIn('step_id')}
                          and (s.status not in ${FINAL_STEP} or not (${isCalm('s.updated_at')})) offset 0)`,
};

const STEP_ELSEWHERE: SqlInvariant = {
  name: 'job-not-awaited',
  meaning:
    'A ticket is for a step that is queued, a timer for one that still waits for it, and a deadline for one that has it.',
  advice: 'Repair it. It does no harm: an engine that fetches it drops it.',
  repair: DELETES,
  graceSeconds: USUAL_GRACE_SECONDS,
  from: ['jobs'],
  offenders: `
    select j.id, ${idIn('execution_id')} as execution_id, j.name as queue,
           format('a %s of step %s, which is %s in attempt %s', j.data ->> 'kind', s.id, s.status, s.attempt_count) as detail
      from {{pgboss}}.job j
     cross join lateral (
       select id, status, attempt_count, retry_count, sequence, deadline_at, updated_at from workflow_step_executions x
        where x.id = ${idIn('step_id')} offset 0) s
     where j.name in ${QUEUES} and s.status not in ${FINAL_STEP}
       and ${isCalm('j.created_on')} and ${isCalm('s.updated_at')}
       and case j.data ->> 'kind'
             when 'step' then s.status <> 'queued'
             when 'timer' then s.status not in ('waiting', 'retrying') or j.data ->> 'sequence' <> s.sequence::text
             when 'step_deadline' then s.deadline_at is null or j.data ->> 'retries' <> s.retry_count::text end`,
};

const EXECUTION_OVER: SqlInvariant = {
  name: 'job-of-final-execution',
  meaning: 'A start is for an execution that is pending, and a deadline for one that is not final.',
  advice: 'Repair it. It does no harm: an engine that fetches it drops it.',
  repair: DELETES,
  graceSeconds: USUAL_GRACE_SECONDS,
  from: ['jobs'],
  offenders: `
    select j.id, ${idIn('execution_id')} as execution_id, j.name as queue,
           format('a %s of execution %s, which is past that or missing', j.data ->> 'kind', j.data ->> 'execution_id') as detail
      from ${JOBS} and j.data ->> 'kind' in ('start', 'deadline', 'stop_overdue') and ${isCalm('j.created_on')}
       and not exists (select 1 from workflow_executions e
                        where e.id = ${idIn('execution_id')}
                          and (not (${isCalm('e.updated_at')})
                               or case j.data ->> 'kind' when 'start' then e.status in ('pending', 'paused')
                                       else e.status not in ${FINAL_EXECUTION} end) offset 0)`,
};

const ID: SqlInvariant = {
  name: 'job-with-another-id',
  meaning: 'A job has the id of its step or execution, so that whoever has the row can find it.',
  advice: 'Repair it. Find out who writes jobs: nobody but the engine may.',
  repair: `${DELETES}; writes the right one where the row needs it`,
  graceSeconds: USUAL_GRACE_SECONDS,
  from: ['jobs'],
  offenders: `
    select j.id, ${idIn('execution_id')} as execution_id, j.name as queue,
           format('a %s of step %s, execution %s', j.data ->> 'kind', j.data ->> 'step_id', j.data ->> 'execution_id') as detail
      from ${JOBS} and ${isCalm('j.created_on')}
       and j.id <> case j.data ->> 'kind'
                     when 'step' then ${idIn('step_id')}
                     when 'timer' then ${idIn('step_id')}
                     when 'step_deadline' then ${timerIdOf(idIn('step_id'), 'd')}
                     when 'start' then ${idIn('execution_id')}
                     when 'deadline' then ${timerIdOf(idIn('execution_id'), 'd')}
                     when 'stop_overdue' then ${timerIdOf(idIn('execution_id'), '5')} end`,
};

const KIND: SqlInvariant = {
  name: 'job-of-unknown-kind',
  meaning: 'The queues of the engine hold jobs of the engine.',
  advice:
    'Find out who writes jobs and delete what is not the engine’s, or give the engine a pg-boss schema of its own.',
  repair: null,
  graceSeconds: 0,
  from: ['jobs'],
  offenders: `
    select j.id, null::uuid as execution_id, j.name as queue, format('kind %s', coalesce(j.data ->> 'kind', 'missing')) as detail
      from ${JOBS}
       and (coalesce(j.data ->> 'kind', '') not in ('start', 'step', 'timer', 'step_deadline', 'callback', 'deadline', 'stop_overdue',
                                                        'inbox', 'signals', 'task_lease')
            or ${idIn('execution_id')} is null
            or (j.data ->> 'kind' in ('step', 'timer', 'step_deadline', 'task_lease') and ${idIn('step_id')} is null))`,
};

const STATE: SqlInvariant = {
  name: 'job-out-of-reach',
  meaning:
    'A job can be fetched: it is consumed in the transaction that fetches it, and no job ends in another way.',
  advice: 'Repair it. Another program fetches, cancels or ends jobs of the engine: stop it.',
  repair: `${DELETES} and writes it again where the row needs it`,
  graceSeconds: ACTIVE_GRACE_SECONDS,
  from: ['jobs'],
  offenders: `
    select j.id, ${idIn('execution_id')} as execution_id, j.name as queue,
           format('a %s that is %s, priority %s', j.data ->> 'kind', case when j.blocked then 'blocked' else j.state::text end,
                  j.priority) as detail
      from ${JOBS}
       and (j.state > 'active' or (j.state = 'active' and ${isCalm('j.started_on')}) or j.blocked
            or (j.name = 'WorkflowExecutionQueue' and j.priority < ${TIMER_PRIORITY}))`,
};

const QUEUE: SqlInvariant = {
  name: 'queue-misconfigured',
  meaning: 'The three queues are there, with the policy standard, and keep a job for a year or longer.',
  advice:
    'Restart an engine: it makes queues that are missing. Put back what somebody changed in pg-boss’s table queue.',
  repair: null,
  graceSeconds: 0,
  from: [],
  offenders: `
    select wanted.name as id, null::uuid as execution_id,
           case when q.name is null then 'missing'
                else format('policy %s, jobs are kept for %s s', q.policy, q.retention_seconds) end as detail
      from unnest(array['WorkflowExecutionQueue', 'StepExecutionQueue', 'MergeExecutionQueue']) wanted(name)
      left join {{pgboss}}.queue q on q.name = wanted.name
     where q.name is null or q.policy <> 'standard' or q.retention_seconds < ${YEAR_SECONDS}`,
};

export const JOB_INVARIANTS: readonly SqlInvariant[] = [
  STEP_OVER,
  STEP_ELSEWHERE,
  EXECUTION_OVER,
  ID,
  KIND,
  STATE,
  QUEUE,
];
