/**
 * The output of a completed execution: its template's `output`, or the outputs of the leaves that completed.
 */

import { failOutput } from '../core/ending.ts';
import { next } from '../core/next.ts';
import type { Plan } from '../core/plan.ts';
import { newId } from '../db/uuid.ts';
import type { JsonPayload } from './json-payload.ts';
import type { ReadableExecution } from './readable-execution.ts';

/** Aborted when the output is no longer needed. Made on first use: most outputs are at hand at once. */
export interface OutputCall {
  readonly signal: AbortSignal;
}

/** Sources of payloads and evaluation. */
export interface Outputs {
  /** Returns the outputs of completed steps, by slot; the database is read for those missing in memory. */
  load(
    execution: ReadableExecution,
    plan: Plan,
    slots: readonly number[],
  ): ReadonlyMap<number, JsonPayload> | Promise<ReadonlyMap<number, JsonPayload>>;
  /** Returns the template's `output` evaluated, as JSON text. Throws or rejects when that fails or cannot be stored. */
  evaluate(execution: ReadableExecution, plan: Plan, call: OutputCall): string | Promise<string>;
  /** Returns the message of an error in a form that can be stored. */
  message(error: unknown): string;
}

/** Returns JSON text; null when the execution failed with `output_failed`, which is then in the plan. */
export function finishOutputs(
  execution: ReadableExecution,
  plan: Plan,
  outputs: Outputs,
  call: OutputCall,
): string | null | Promise<string | null> {
  try {
    const json =
      execution.scope.output === null
        ? leafOutputs(execution, plan, outputs)
        : outputs.evaluate(execution, plan, call);
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
  failOutput(plan, reason, newId);
  return null;
}
