/**
 * The sources of the data that expressions read, and the data of steps as expressions see it.
 */
import type { StepError } from '../core/event.ts';
import type { HookUrls } from '../core/hooks/hook-urls.ts';
import type { JsonObject } from '../core/json/json.ts';
import type { ExecutionView } from '../core/view.ts';
import type { PayloadReader, Payloads } from './payload-reader.ts';
import type { ScopeValues } from './scope-values.ts';

export interface ScopeSource {
  readonly payloads: PayloadReader;
  readonly values: ScopeValues;
  readonly secrets: Readonly<Record<string, string>>;
  readonly hookUrls: HookUrls;
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

/** Returns a failure as expressions read it. */
export function errorValue({ code, message, details }: StepError): JsonObject {
  return { code, message, details };
}
