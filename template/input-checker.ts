/**
 * Inputs of an execution against the input schema of its template.
 *
 * Invariant: what may take more than some milliseconds is not done here; `tryCheck` says so and does not go on.
 */
import type { Json, JsonSchema } from '../core/json/json.ts';
import { EngineError } from '../core/problem.ts';
import type { SchemaChecker, SchemaFault } from '../definition/schema/checker.ts';
import { isLightCheck } from '../definition/schema/weight.ts';
import type { TemplateVersion } from './version.ts';

/** A JSON value with its text; the value is parsed when it is asked for. */
export interface InputText {
  readonly json: string;
  readonly value: Json;
}

export interface InputChecker {
  /** What is wrong with inputs; at once when that is known soon. @throws EngineError: it cannot be told now */
  check(
    version: TemplateVersion,
    inputs: InputText,
  ): readonly SchemaFault[] | Promise<readonly SchemaFault[]>;
}

/** What is wrong with inputs, if that takes some milliseconds at most; null: it may take longer. */
export function tryCheck(
  schemas: SchemaChecker,
  schema: JsonSchema | null,
  inputs: InputText,
): readonly SchemaFault[] | null {
  if (schema === null) return [];
  if (!isLightCheck(schema, inputs.json.length, () => inputs.value)) return null;
  return schemas.validateBriefly(schema, inputs.value);
}

/** @throws EngineError('invalid_inputs') for what is wrong with the inputs of a version */
export function refuseFaults({ name }: TemplateVersion, faults: readonly SchemaFault[]): void {
  if (faults.length === 0) return;
  const problems = faults.map(({ pointer, message }) => ({
    pointer: `/inputs${pointer}`,
    code: 'invalid_inputs' as const,
    message,
  }));
  throw new EngineError('invalid_inputs', `The inputs do not match the input schema of ${name}.`, problems);
}
