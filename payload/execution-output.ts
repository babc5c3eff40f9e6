/**
 * What a completed execution gives back: its template's `output`, or the outputs of the leaves that completed.
 */

import type { Plan } from '../core/plan.ts';
import type { ExecutionFailure } from '../core/view.ts';
import type { JsonPayload } from './json-payload.ts';
import type { ReadableExecution } from './readable-execution.ts';

/** Where payloads and evaluation come from. */
export interface Outputs {
  /** The outputs of completed steps, by position; read from the database where they did not pass through here. */
  load(
    execution: ReadableExecution,
    plan: Plan,
    positions: readonly number[],
  ): ReadonlyMap<number, JsonPayload> | Promise<ReadonlyMap<number, JsonPayload>>;
  /** The template's `output` evaluated, as JSON text. Throws or rejects when that fails or cannot be stored. */
  evaluate(execution: ReadableExecution, plan: Plan): string | Promise<string>;
  /** The message of an error as it may be stored. */
  message(error: unknown): string;
}

/** JSON text; null when the execution failed with `output_failed`, which the plan then says. */
export function finishOutputs(
  execution: ReadableExecution,
  plan: Plan,
  outputs: Outputs,
): string | null | Promise<string | null> {
  try {
    const json =
      execution.version!.output === null
        ? leafOutputs(execution, plan, outputs)
        : outputs.evaluate(execution, plan);
    return json instanceof Promise ? json.catch((error) => failOutput(plan, outputs.message(error))) : json;
  } catch (error) {
    return failOutput(plan, outputs.message(error));
  }
}

function leafOutputs(execution: ReadableExecution, plan: Plan, outputs: Outputs): string | Promise<string> {
  const { graph } = plan.view;
  const completed = graph.leaves.filter((position) => plan.view.steps[position]?.status === 'completed');
  const loaded = outputs.load(execution, plan, completed);
  const join = (payloads: ReadonlyMap<number, JsonPayload>) =>
    `{${completed
      .map((position) => `${JSON.stringify(graph.steps[position]!.key)}:${payloads.get(position)!.json}`)
      .join(',')}}`;
  return loaded instanceof Promise ? loaded.then(join) : join(loaded);
}

/** The steps are done, but what they add up to cannot be said: the execution fails. */
function failOutput(plan: Plan, message: string): null {
  const error: ExecutionFailure = {
    code: 'output_failed',
    message: `The output could not be made: ${message}`,
    step: null,
  };
  plan.view.status = 'failed';
  plan.end = { status: 'failed', error };
  return null;
}
