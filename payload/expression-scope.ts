/**
 * The data that expressions read: the execution's input, the outputs of the steps they name, the values of a scope's names,
 * and the step's own inputs.
 */

import { type ReceivedInput, upstreamOf } from '../core/graph.ts';
import type { Json, JsonObject } from '../core/json/json.ts';
import { next } from '../core/next.ts';
import type { Plan } from '../core/plan.ts';
import type { ScopeName } from '../core/template.ts';
import type { ExecutionView } from '../core/view.ts';
import type { DataReads } from '../expression/data-reads.ts';
import { type HooksScope, hooksScope } from './hooks-scope.ts';
import { type Outer, readOuter } from './outer-scopes.ts';
import type { Payloads } from './payload-reader.ts';
import type { ReadableExecution } from './readable-execution.ts';
import { errorValue, type ScopeSource, stepsScope } from './scope-source.ts';

/** A plain object with the roots of the expression language. */
export interface ScopeParts extends Partial<Record<ScopeName, Json>> {
  input: Json;
  steps: Record<string, JsonObject>;
  inputs: Record<string, Json>;
  execution: { id: string; template: string; version: number } & HooksScope;
  secrets: Readonly<Record<string, string>>;
  vars: Readonly<Record<string, Json>>;
  /** In a compensation: the output of the step that it undoes. */
  compensates?: Json;
}

/** Returns the scope of the step in a slot, whose join received `received`; at once when every payload is in memory. */
export function gatherScope(
  source: ScopeSource,
  execution: ReadableExecution,
  view: ExecutionView,
  slot: number,
  received: readonly ReceivedInput[],
  needs: DataReads,
): ScopeParts | Promise<ScopeParts> {
  const live = needs.usesInputs ? received.filter((input) => input.live) : [];
  const arrived = live.map(({ key }) => view.graph.slots.get(key)!);
  const reads = needs.reads ?? upstreamOf(view.graph, slot);
  const slots = reads.length === 0 ? arrived : [...new Set([...arrived, ...reads])];
  const make = (found: Payloads): ScopeParts =>
    partsOf(source, execution, needs, {
      input: found.input?.value ?? null,
      steps: stepsScope(found, view, reads),
      inputs: inputsScope(found, view, live),
    });
  return readAll(source, execution, needs, slots, null, make);
}

/** Returns the scope of the output of a view, which sees all its steps. @param plan its unwritten results count */
export function gatherOutputScope(
  source: ScopeSource,
  execution: ReadableExecution,
  plan: Plan,
): ScopeParts | Promise<ScopeParts> {
  const { view } = plan;
  const needs = execution.scope.outputReads;
  const slots = needs.reads ?? Array.from({ length: view.graph.size }, (_, slot) => slot);
  const make = (found: Payloads): ScopeParts =>
    partsOf(source, execution, needs, {
      input: found.input?.value ?? null,
      steps: stepsScope(found, view, slots),
      inputs: {},
    });
  return readAll(source, execution, needs, slots, plan, make);
}

function readAll(
  source: ScopeSource,
  execution: ReadableExecution,
  needs: DataReads,
  slots: readonly number[],
  plan: Plan | null,
  make: (found: Payloads) => ScopeParts,
): ScopeParts | Promise<ScopeParts> {
  const { view } = execution;
  const isTop = view.scope === null;
  const wanted = { input: needs.usesInput && isTop, slots, values: true };
  const reading = source.payloads.read(execution, view, wanted, plan);
  if (isTop) return next(reading, make);
  return next(readOuter(source, execution, needs), (outer) =>
    next(reading, (found) => withOuter(make(found), outer)),
  );
}

/** A scope's steps hide those of the same name around it. */
function withOuter(parts: ScopeParts, { input, steps, names }: Outer): ScopeParts {
  return { ...parts, ...names, input: input ?? parts.input, steps: { ...steps, ...parts.steps } };
}

function partsOf(
  { secrets, hookUrls }: ScopeSource,
  { id, view, version: { name, version } }: ReadableExecution,
  { hooks }: DataReads,
  { input, steps, inputs }: Pick<ScopeParts, 'input' | 'steps' | 'inputs'>,
): ScopeParts {
  const named = { id, template: name, version };
  const execution = hooks.length === 0 ? named : { ...named, ...hooksScope(hooks, view, hookUrls) };
  return { input, steps, inputs, execution, secrets, vars: {} };
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
