/**
 * The statement on workflow_input_tracker: a row per resolved edge, live or dead. The payload stays with its producer.
 */
import { plainArray, textArray } from './array-literal.ts';
import { momentOf } from './clock.ts';
import type { Statement } from './statement.ts';

export interface InputInsert {
  readonly id: string;
  readonly stepId: string;
  readonly fromStepId: string;
  readonly live: boolean;
  readonly route: string | null;
}

const INSERT = `
  insert into workflow_input_tracker (id, step_execution_id, from_step_execution_id, live, route, received_at)
  select id, step_id, from_step_id, live, route, ${momentOf(6)}
    from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::boolean[], $5::text[]) as t(id, step_id, from_step_id, live, route)`;

/** An edge resolved twice breaks the unique constraint and with it the transaction. @param at see db/clock.ts */
export function insertInputs(rows: readonly InputInsert[], at: string | null = null): Statement {
  return {
    name: 'insert_inputs',
    text: INSERT,
    values: [
      plainArray(rows.map((row) => row.id)),
      plainArray(rows.map((row) => row.stepId)),
      plainArray(rows.map((row) => row.fromStepId)),
      plainArray(rows.map((row) => row.live)),
      textArray(rows.map((row) => row.route)),
      at,
    ],
  };
}
