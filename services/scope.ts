/**
 * What an expression sees: the execution's input, the outputs of the steps it names, and what arrived.
 *
 * Payloads come from the actor; `loadMissing` reads first what did not pass through this process.
 */

import type { StepError } from '../core/event.ts';
import type { ReceivedInput } from '../core/graph.ts';
import type { Json, JsonObject } from '../core/json.ts';
import type { ExecutionView } from '../core/view.ts';
import type { Db } from '../db/client.ts';
import { readManyInputs } from '../db/workflow-execution.ts';
import { readPayloads } from '../db/workflow-step-execution.ts';
import type { Actor } from './actor.ts';
import { JsonPayload } from './payload.ts';

/** A plain object with the roots of the expression language. */
export interface ScopeParts {
  input: Json;
  steps: Record<string, JsonObject>;
  inputs: Record<string, Json>;
  execution: { id: string; template: string; version: number };
  secrets: Readonly<Record<string, string>>;
  vars: Readonly<Record<string, Json>>;
}

/** What a step's expressions read. */
export interface ScopeNeeds {
  /** Positions of the steps they name; null: any of them. */
  readonly reads: readonly number[] | null;
  readonly usesInput: boolean;
}

/** The scope of a step whose join received `received`; at once when every payload is in memory. */
export function gatherScope(
  source: { readonly db: Db; readonly secrets: Readonly<Record<string, string>> },
  actor: Actor,
  view: ExecutionView,
  received: readonly ReceivedInput[],
  needs: ScopeNeeds,
): ScopeParts | Promise<ScopeParts> {
  const arrived = received.filter(({ live }) => live).map(({ key }) => view.graph.positions.get(key)!);
  const reads = needs.reads ?? [...view.graph.steps.keys()];
  const loading = loadMissing(source.db, actor, view, {
    input: needs.usesInput,
    positions: reads.length === 0 ? arrived : [...new Set([...arrived, ...reads])],
  });
  const make = (): ScopeParts => {
    const { name, version } = actor.version!;
    return {
      input: needs.usesInput ? (actor.inputs?.value ?? null) : null,
      steps: stepsScope(actor, view, reads),
      inputs: inputsScope(actor, view, received),
      execution: { id: actor.id, template: name, version },
      secrets: source.secrets,
      vars: {},
    };
  };
  return loading === null ? make() : loading.then(make);
}

export interface PayloadNeeds {
  readonly input: boolean;
  readonly positions: readonly number[];
}

/** Null when everything is in memory already. */
export function loadMissing(
  db: Db,
  actor: Actor,
  view: ExecutionView,
  needs: PayloadNeeds,
): Promise<void> | null {
  const missing = needs.positions.filter((position) => isMissing(actor, view, position));
  const needsInput = needs.input && actor.inputs === null;
  if (missing.length === 0 && !needsInput) return null;
  return load(db, actor, view, missing, needsInput);
}

function isMissing(actor: Actor, view: ExecutionView, position: number): boolean {
  const status = view.steps[position]?.status;
  if (status === 'completed') return !actor.outputs.has(position);
  return status === 'failed' && !actor.errors.has(position);
}

async function load(
  db: Db,
  actor: Actor,
  view: ExecutionView,
  positions: readonly number[],
  needsInput: boolean,
): Promise<void> {
  if (needsInput) {
    const inputs = (await readManyInputs(db, [actor.id])).get(actor.id);
    actor.inputs = new JsonPayload(inputs ?? '{}');
  }
  if (positions.length === 0) return;
  const byId = new Map(positions.map((position) => [view.steps[position]!.id, position]));
  for (const payload of await readPayloads(db, [...byId.keys()])) {
    const position = byId.get(payload.id)!;
    if (payload.output !== null) actor.outputs.set(position, new JsonPayload(payload.output));
    if (payload.errorCode === null) continue;
    const { errorCode: code, error, errorDetails } = payload;
    actor.errors.set(position, { code, message: error ?? '', details: (errorDetails ?? null) as Json });
  }
}

/** `steps.<key>` of the positions that are read. */
export function stepsScope(
  actor: Actor,
  view: ExecutionView,
  positions: readonly number[],
): Record<string, JsonObject> {
  const steps: Record<string, JsonObject> = {};
  for (const position of positions) {
    const state = view.steps[position];
    const status = state?.status ?? 'waiting_inputs';
    const completed = status === 'completed';
    const error = status === 'failed' ? actor.errors.get(position) : undefined;
    steps[view.graph.steps[position]!.key] = {
      output: completed ? (actor.outputs.get(position)?.value ?? null) : null,
      status,
      error: error === undefined ? null : errorValue(error),
      route: state?.routes?.[0] ?? null,
    };
  }
  return steps;
}

/** `inputs.<key>`: outputs over live edges, `{ code, message, details }` over a live failure edge. */
export function inputsScope(
  actor: Actor,
  view: ExecutionView,
  received: readonly ReceivedInput[],
): Record<string, Json> {
  const inputs: Record<string, Json> = {};
  for (const { key, live } of received) {
    if (!live) continue;
    const position = view.graph.positions.get(key)!;
    const error = actor.errors.get(position);
    const failed = view.steps[position]?.status === 'failed' && error !== undefined;
    inputs[key] = failed ? errorValue(error) : (actor.outputs.get(position)?.value ?? null);
  }
  return inputs;
}

function errorValue({ code, message, details }: StepError): JsonObject {
  return { code, message, details };
}
