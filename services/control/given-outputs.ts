/**
 * Outputs that a caller gives steps by hand: checked and masked like those of handlers, with the routes that they name.
 */
import type { GivenOutput } from '../../core/control/fork.ts';
import type { Graph } from '../../core/graph.ts';
import { isObject, type Json, type JsonObject } from '../../core/json/json.ts';
import { EngineError, pointerSegment } from '../../core/problem.ts';
import { didYouMean } from '../../core/text/nearest.ts';
import type { OutputStore } from '../../payload/output-store.ts';
import type { CompiledStep, TemplateVersion } from '../../template/version.ts';
import { storable } from '../storable.ts';

/** @returns by slot of the top level @throws EngineError('validation_failed'), EngineError('not_storable') */
export async function givenOutputs(
  store: OutputStore,
  { graph, steps }: TemplateVersion,
  outputs: Readonly<Record<string, Json>>,
): Promise<Map<number, GivenOutput>> {
  const given = new Map<number, GivenOutput>();
  for (const [key, value] of Object.entries(outputs)) {
    const pointer = `/outputs${pointerSegment(key)}`;
    const slot = topLevelSlot(graph, key, pointer);
    const routes = routesOf(steps[slot]!, value, pointer);
    given.set(slot, { output: await storable(store, value, pointer), routes });
  }
  return given;
}

/** Returns the slot of a step of the top level. @throws EngineError('validation_failed') */
export function topLevelSlot({ slots }: Pick<Graph, 'slots'>, key: string, pointer: string): number {
  const slot = slots.get(key);
  if (slot !== undefined) return slot;
  refuse(pointer, `The template has no step "${key}" at its top level.${didYouMean(key, slots.keys())}`);
}

/** A step whose type has routes gives `{ routes }`. */
function routesOf({ step, type }: CompiledStep, value: Json, pointer: string): string[] | null {
  if (type.routes === undefined) return null;
  const known = type.routes((step.with ?? {}) as JsonObject);
  const named = isObject(value) ? value.routes : undefined;
  if (!Array.isArray(named) || named.some((route) => typeof route !== 'string'))
    refuse(
      pointer,
      `The output of a ${step.type} is an object with a list of routes: { "routes": ["${known[0] ?? ''}"] }.`,
    );
  const unknown = named.find((route) => !known.includes(route as string));
  if (unknown !== undefined)
    refuse(`${pointer}/routes`, `Step "${step.key}" has no route "${unknown}"; it has ${known.join(', ')}.`);
  return named as string[];
}

function refuse(pointer: string, message: string): never {
  throw new EngineError('validation_failed', message, [{ pointer, code: 'invalid_value', message }]);
}
