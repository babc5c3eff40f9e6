/**
 * The scope of an expression: the execution's input, the outputs of the steps it names, and the step's own inputs.
 */

import type { StepError } from '../core/event.ts';
import { type ReceivedInput, upstreamOf } from '../core/graph.ts';
import type { Json, JsonObject } from '../core/json/json.ts';
import { next } from '../core/next.ts';
import type { ExecutionView } from '../core/view.ts';
import type { PayloadReader, Payloads } from './payload-reader.ts';
import type { ReadableExecution } from './readable-execution.ts';

/** A plain object with the roots of the expression language. */
export interface ScopeParts {
  input: Json;
  steps: Record<string, JsonObject>;
  inputs: Record<string, Json>;
  execution: { id: string; template: string; version: number };
  secrets: Readonly<Record<string, string>>;
  vars: Readonly<Record<string, Json>>;
}

/** The data that a step's expressions read. */
export interface ScopeNeeds {
  /** Slots of the steps they name; null: any upstream step. */
  readonly reads: readonly number[] | null;
  readonly usesInput: boolean;
  /** Whether they, or the handler, read `inputs`. */
  readonly usesInputs: boolean;
}

export interface ScopeSource {
  readonly payloads: PayloadReader;
  readonly secrets: Readonly<Record<string, string>>;
}

/** Returns the scope of the step in a slot, whose join received `received`; at once when every payload is in memory. */
export function gatherScope(
  { payloads, secrets }: ScopeSource,
  execution: ReadableExecution,
  view: ExecutionView,
  slot: number,
  received: readonly ReceivedInput[],
  needs: ScopeNeeds,
): ScopeParts | Promise<ScopeParts> {
  const live = needs.usesInputs ? received.filter((input) => input.live) : [];
  const arrived = live.map(({ key }) => view.graph.slots.get(key)!);
  const reads = needs.reads ?? upstreamOf(view.graph, slot);
  const slots = reads.length === 0 ? arrived : [...new Set([...arrived, ...reads])];
  const make = (found: Payloads): ScopeParts => {
    const { name, version } = execution.version;
    return {
      input: found.input?.value ?? null,
      steps: stepsScope(found, view, reads),
      inputs: inputsScope(found, view, live),
      execution: { id: execution.id, template: name, version },
      secrets,
      vars: {},
    };
  };
  const reading = payloads.read(execution, view, { input: needs.usesInput, slots, values: true });
  return next(reading, make);
}

/** Returns `steps.<key>` of the slots that are read. */
export function stepsScope(
  { outputs, errors }: Payloads,
  view: ExecutionView,
  slots: readonly number[],
): Record<string, JsonObject> {
  const steps: Record<string, JsonObject> = {};
  for (const slot of slots) {
    const state = view.steps[slot];
    const status = state?.status ?? 'waiting_inputs';
    const completed = status === 'completed';
    const error = status === 'failed' ? errors.get(slot) : undefined;
    steps[view.graph.steps[slot]!.key] = {
      output: completed ? (outputs.get(slot)?.value ?? null) : null,
      status,
      error: error === undefined ? null : errorValue(error),
      route: state?.routes?.[0] ?? null,
    };
  }
  return steps;
}

/** Returns `inputs.<key>`: outputs over live edges, `{ code, message, details }` over a live failure edge. */
function inputsScope(
  { outputs, errors }: Payloads,
  view: ExecutionView,
  live: readonly ReceivedInput[],
): Record<string, Json> {
  const inputs: Record<string, Json> = {};
  for (const { key } of live) {
    const slot = view.graph.slots.get(key)!;
    const error = errors.get(slot);
    inputs[key] = error === undefined ? (outputs.get(slot)?.value ?? null) : errorValue(error);
  }
  return inputs;
}

function errorValue({ code, message, details }: StepError): JsonObject {
  return { code, message, details };
}
