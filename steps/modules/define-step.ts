/**
 * The entry `execution-engine/steps` for modules with step types: `defineStep`, and the classes of a handler's results.
 *
 * `defineStep` adds types alone. A module may also export an object of the type `StepType` without it.
 */
import type { XStatic } from 'typebox/schema';
import type { JsonSchema } from '../../core/json/json.ts';
import type { StepContext, StepType } from '../step-type.ts';

export type { Json, JsonObject } from '../../core/json/json.ts';
export {
  Parked,
  type Pause,
  Routed,
  type ScriptOptions,
  type StepContext,
  StepFailure,
  type StepFailureOptions,
  type StepLog,
  type StepType,
} from '../step-type.ts';

/** A JSON Schema as a literal, whose parts TypeScript may read. */
type SchemaLiteral = boolean | { readonly [keyword: string]: unknown };

/** The members of a step type that a module may define. */
type OwnMembers = Pick<
  StepType,
  'type' | 'summary' | 'deferred' | 'readsInputs' | 'passesInputs' | 'review' | 'routes' | 'routesTogether'
>;

export interface StepDefinition<S extends SchemaLiteral> extends OwnMembers {
  /** JSON Schema 2020-12 of `with`. */
  readonly params: S;
  /** `params` of the context has the type that the schema describes. */
  run(context: StepContext<XStatic<S>>): unknown;
}

/** Returns the step type of a definition. Its schema types the parameters of `run`. */
export function defineStep<const S extends SchemaLiteral>(
  definition: StepDefinition<S>,
): StepType<XStatic<S>> {
  const { params, ...members } = definition;
  return { ...members, schema: params as JsonSchema };
}
