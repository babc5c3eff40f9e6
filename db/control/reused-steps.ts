/**
 * Inserts the steps that a fork takes over. The database copies their results: payloads never pass through the engine.
 */
import type { ReusedStep } from '../../core/control/fork/reused-step.ts';
import { jsonArray, plainArray, textArray } from '../array-literal.ts';
import { momentOf } from '../clock.ts';
import { guarded, type Statement } from '../statement.ts';
import type { StepInsert } from '../workflow-step-execution.ts';

/** A step as it is inserted, with what it has of the source. */
export interface ReusedInsert extends StepInsert {
  readonly reused: ReusedStep;
}

/** A given output leaves nothing of an error. A step that the source has reset since is not copied. */
const INSERT = guarded(
  `insert into workflow_step_executions
     (id, workflow_execution_id, step_template_id, status, required_inputs, received_inputs, attempt_count, sequence,
      created_at, updated_at, completed_at, outputs, routes, error, error_code, error_details, reused_from, decided_elsewhere)
   select u.id, u.execution_id, u.template_id, u.status, u.required, coalesce(u.received::jsonb[], '{}'), 0, u.sequence,
          ${momentOf(13)}, ${momentOf(13)}, ${momentOf(13)},
          case when u.status = 'completed' then coalesce(u.output, s.outputs) end, u.routes::text[],
          case when u.status = 'failed' then s.error end, case when u.status = 'failed' then s.error_code end,
          case when u.status = 'failed' then s.error_details end, u.source_id, u.source_id is null
     from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::integer[], $6::text[], $7::text[], $8::bigint[],
                 $9::uuid[], $10::text[], $11::bigint[], $12::jsonb[])
            as u(id, execution_id, template_id, status, required, received, routes, sequence, source_id, source_status,
                 source_sequence, output)
     left join workflow_step_executions s on s.id = u.source_id
    where u.source_id is null or (s.status = u.source_status and s.sequence = u.source_sequence)`,
  14,
);

/** Fails the transaction when a source has changed, or is gone. @param at see db/clock.ts */
export function insertReusedSteps(rows: readonly ReusedInsert[], at: string | null): Statement {
  return {
    name: 'insert_reused_steps',
    text: INSERT,
    values: [
      plainArray(rows.map(({ id }) => id)),
      plainArray(rows.map(({ executionId }) => executionId)),
      plainArray(rows.map(({ stepTemplateId }) => stepTemplateId)),
      plainArray(rows.map(({ status }) => status)),
      plainArray(rows.map(({ required }) => required)),
      textArray(rows.map(({ received }) => received)),
      textArray(rows.map(({ reused: { routes } }) => (routes === null ? null : textArray(routes)))),
      plainArray(rows.map(({ sequence }) => sequence)),
      plainArray(rows.map(({ reused }) => reused.source?.id ?? null)),
      plainArray(rows.map(({ reused }) => reused.source?.status ?? null)),
      plainArray(rows.map(({ reused }) => reused.source?.sequence ?? null)),
      jsonArray(rows.map(({ reused }) => reused.output?.json ?? null)),
      at,
      rows.length,
    ],
  };
}
