/**
 * Checks of child executions and the steps that wait for them.
 */
import { openChild } from '../children/end.ts';
import {
  FINAL_EXECUTION,
  FINAL_STEP,
  isCalm,
  OPEN,
  type SqlInvariant,
  UNDER_WAY,
  USUAL_GRACE_SECONDS,
  WITH_STEPS,
} from './invariant.ts';
import { INBOX_OF_STEP } from './scopes.ts';

/** The child that the attempt of step `s` has started, by workflow_executions_parent_step. */
const CHILD = `
      select status, completed_at from workflow_executions x
       where x.parent_step_id = s.id and x.parent_attempt = s.attempt_count`;

const WAITS = `s.status = 'waiting' and s.waiting_for ->> 'kind' = 'child'`;

/** What waits for the execution `e` itself. */
const INBOX_OF_EXECUTION = `
      select 1 from workflow_inbox i
       where i.workflow_execution_id = e.id and i.scope = '' and i.step_execution_id is null`;

const NO_CHILD: SqlInvariant = {
  name: 'waiting-step-without-child',
  meaning: 'A step that waits for a child execution has one.',
  advice: 'Somebody deleted the child. Cancel the execution: the step waits for ever.',
  repair: null,
  graceSeconds: 0,
  from: ['open'],
  offenders: `
    select s.id, e.id as execution_id,
           format('waits for the child %s of attempt %s, which is not there', s.waiting_for ->> 'execution_id',
                  s.attempt_count) as detail
      from ${UNDER_WAY} ${WITH_STEPS}
     where ${WAITS} and not exists (${CHILD} offset 0)`,
};

const UNHEARD: SqlInvariant = {
  name: 'end-of-child-overlooked',
  meaning: 'The end of a child execution is told to the step that waits for it.',
  advice: 'Somebody wrote or deleted rows by hand. Cancel the execution: the step waits for ever.',
  repair: null,
  graceSeconds: USUAL_GRACE_SECONDS,
  from: ['open'],
  offenders: `
    select s.id, e.id as execution_id, format('waits for a child that is %s', c.status) as detail
      from ${UNDER_WAY} ${WITH_STEPS}
     cross join lateral (${CHILD} offset 0) c
     where ${WAITS} and c.status in ${FINAL_EXECUTION} and ${isCalm('c.completed_at')}
       and not exists (${INBOX_OF_STEP} offset 0)`,
};

const LEFT: SqlInvariant = {
  name: 'child-left-behind',
  meaning: 'A child execution is open only while its step waits for it, or after it was told to end.',
  advice: 'Cancel the child: nobody waits for it.',
  repair: null,
  graceSeconds: USUAL_GRACE_SECONDS,
  from: ['open'],
  offenders: `
    select e.id, e.id as execution_id,
           format('%s, and step %s does not wait for it any more', e.status, c.parent_step_id) as detail
      from ${OPEN}
     cross join lateral (
       select parent_step_id, parent_attempt from workflow_executions x where x.id = e.id and x.is_awaited offset 0) c
     where e.status <> 'compensating' and e.stop_requested_at is null and ${isCalm('e.updated_at')}
       and not exists (select 1 from workflow_step_executions s
                        where s.id = c.parent_step_id and s.status = 'waiting' and s.attempt_count = c.parent_attempt
                       offset 0)
       and not exists (${INBOX_OF_EXECUTION} offset 0)`,
};

const STANDS_STILL: SqlInvariant = {
  name: 'compensating-execution-stands-still',
  meaning: 'An execution that is compensating has a step that is not final, an open scope or an open child.',
  advice: 'Repair it.',
  repair: 'lets the engine decide what comes next',
  graceSeconds: USUAL_GRACE_SECONDS,
  from: ['open'],
  offenders: `
    select e.id, e.id as execution_id, format('compensating since %s, and nothing is left to wait for', e.updated_at) as detail
      from ${OPEN}
     where e.status = 'compensating' and ${isCalm('e.updated_at')}
       and not exists (select 1 from workflow_step_executions s
                         left join workflow_held_scopes h on h.step_execution_id = s.id
                        where s.workflow_execution_id = e.id
                          and (s.status not in ${FINAL_STEP} or h.open_count > 0 or h.undo_open > 0) offset 0)
       and not exists (select 1 from workflow_executions c
                        where c.parent_execution_id = e.id and ${openChild('c')} offset 0)
       and not exists (${INBOX_OF_EXECUTION} offset 0)`,
};

export const CHILD_INVARIANTS: readonly SqlInvariant[] = [NO_CHILD, UNHEARD, LEFT, STANDS_STILL];
