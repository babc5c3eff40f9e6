/**
 * What a completed execution gives back: its template's `output`, or the outputs of the leaves that completed.
 */

import { failOutput } from '../core/ending.ts';
import { next } from '../core/next.ts';
import type { Plan } from '../core/plan.ts';
import type { JsonPayload } from './json-payload.ts';
import type { ReadableExecution } from './readable-execution.ts';

/** Where payloads and evaluation come from. */
export interface Outputs {
  /** The outputs of completed steps, by slot; read from the database where they did not pass through here. */
  load(
    execution: ReadableExecution,
    plan: Plan,
    slots: readonly number[],
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
      execution.version.output === null
        ? leafOutputs(execution, plan, outputs)
        : outputs.evaluate(execution, plan);
    return json instanceof Promise ? json.catch((error) => failed(plan, outputs.message(error))) : json;
  } catch (error) {
    return failed(plan, outputs.message(error));
  }
}

function leafOutputs(execution: ReadableExecution, plan: Plan, outputs: Outputs): string | Promise<string> {
  const { graph } = plan.view;
  const completed = graph.leaves.filter((slot) => plan.view.steps[slot]?.status === 'completed');
  const loaded = outputs.load(execution, plan, completed);
  const join = (payloads: ReadonlyMap<number, JsonPayload>) =>
    `{${completed
      .map((slot) => `${JSON.stringify(graph.steps[slot]!.key)}:${payloads.get(slot)!.json}`)
      .join(',')}}`;
  return next(loaded, join);
}

function failed(plan: Plan, reason: string): null {
  failOutput(plan, reason);
  return null;
}
