/**
 * Inputs of steps as they are stored. workflow_input_tracker has a row per resolved edge, live or dead; the payload stays with
 * its producer. `received_inputs` of a step has its edges as they were when its join was decided.
 */
import type { ReceivedInput } from '../core/graph.ts';
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

/** Inputs without a route are shared by all executions of a graph: their text is cached. */
const INPUT_TEXTS = new WeakMap<ReceivedInput, string>();
const SINGLE_LITERALS = new WeakMap<ReceivedInput, string>();

/** Returns `received_inputs` as an array literal of jsonb; null: not decided. */
export function receivedLiteral(received: readonly ReceivedInput[] | null): string | null {
  if (received === null) return null;
  if (received.length === 0) return '{}';
  if (received.length > 1) return textArray(received.map(inputText));
  const [input] = received;
  let literal = SINGLE_LITERALS.get(input!);
  if (literal === undefined) {
    literal = textArray([inputText(input!)]);
    SINGLE_LITERALS.set(input!, literal);
  }
  return literal;
}

function inputText(input: ReceivedInput): string {
  let text = INPUT_TEXTS.get(input);
  if (text === undefined) {
    text = JSON.stringify(input);
    INPUT_TEXTS.set(input, text);
  }
  return text;
}
