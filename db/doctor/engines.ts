/**
 * Checks that all ready work has an engine that can run it, according to the step types that engines register.
 */
import { engineIsAlive } from '../engine-alive.ts';
import { ableEngines } from '../ready-work.ts';
import { isCalm, OPEN, type SqlInvariant, UNDER_WAY, WITH_STEPS } from './invariant.ts';

/** A restarted engine is back within this time. */
const RESTART_GRACE_SECONDS = 60;

/** Finds nothing when no engine is running: that is not a fault of the rows. */
const STEP_TYPE: SqlInvariant = {
  name: 'step-type-without-engine',
  meaning: 'A living engine has the type of a ready step, and all types of an execution in line.',
  advice:
    'Start an engine that has the type (EXECUTION_ENGINE_STEPS), or stop the execution: nothing goes on until then.',
  repair: null,
  graceSeconds: RESTART_GRACE_SECONDS,
  from: ['open'],
  offenders: `
    with able as materialized (${ableEngines(engineIsAlive)}),
    left_alone as materialized (
      select p.workflow_template_id
        from (select distinct workflow_template_id from workflow_executions
               where status = 'pending' and start_after is null) p
       cross join lateral (
         select array_agg(distinct x.type) as types from workflow_step_templates x
          where x.workflow_template_id = p.workflow_template_id offset 0) k
       where exists (select from able) and not exists (select from able where step_types is null or step_types @> k.types))
    select s.id, e.id as execution_id, format('queued, and no living engine has the type %s', t.type) as detail
      from ${UNDER_WAY} ${WITH_STEPS}
     cross join lateral (select type from workflow_step_templates x where x.id = s.step_template_id offset 0) t
     where s.status = 'queued' and e.status <> 'paused' and t.type is not null and ${isCalm('s.updated_at')} and exists (select from able)
       and not exists (select from able where step_types is null or t.type = any(step_types))
    union all
    select e.id, e.id, 'in line, and no living engine has all step types of its template'
      from ${OPEN}
     where e.status = 'pending' and e.start_after is null and ${isCalm('e.updated_at')}
       and e.workflow_template_id in (select workflow_template_id from left_alone)`,
};

export const ENGINE_INVARIANTS: readonly SqlInvariant[] = [STEP_TYPE];
