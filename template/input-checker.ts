/**
 * Checks values against the schemas of a template: the inputs of an execution, and answers to its steps.
 *
 * Invariant: `tryCheck` takes milliseconds at most. It returns null when a check may take longer.
 */
import type { Json, JsonSchema } from '../core/json/json.ts';
import { EngineError } from '../core/problem.ts';
import type { SchemaChecker, SchemaFault } from '../definition/schema/checker.ts';
import { isLightCheck } from '../definition/schema/weight.ts';
import type { TemplateVersion } from './version.ts';

/** A JSON value with its text; the value is parsed on first use. */
export interface InputText {
  readonly json: string;
  readonly value: Json;
}

/** Checks answers of the outside. */
export interface AnswerChecker {
  /** Returns the faults of an answer to the step at a position. @throws EngineError: it cannot be checked now */
  checkAnswer(
    version: TemplateVersion,
    position: number,
    answer: InputText,
  ): readonly SchemaFault[] | Promise<readonly SchemaFault[]>;
}

/** Returns the schema of answers to the step at a position; null: any value will do. */
export function answerSchema({ steps }: TemplateVersion, position: number): JsonSchema | null {
  const { type, step } = steps[position]!;
  const schema = type.schemaIn === undefined ? undefined : step.with?.[type.schemaIn];
  return schema === undefined ? null : (schema as JsonSchema);
}

export interface InputChecker {
  /** Returns the faults of inputs; at once when the check is quick. @throws EngineError: they cannot be checked now */
  check(
    version: TemplateVersion,
    inputs: InputText,
  ): readonly SchemaFault[] | Promise<readonly SchemaFault[]>;
}

/** Returns the faults of inputs, if that takes milliseconds at most; null: it may take longer. */
export function tryCheck(
  schemas: SchemaChecker,
  schema: JsonSchema | null,
  inputs: InputText,
): readonly SchemaFault[] | null {
  if (schema === null) return [];
  if (!isLightCheck(schema, inputs.json.length, () => inputs.value)) return null;
  return schemas.validateBriefly(schema, inputs.value);
}

/** @throws EngineError('invalid_inputs') when the inputs of a version have faults */
export function refuseFaults({ name }: TemplateVersion, faults: readonly SchemaFault[]): void {
  if (faults.length === 0) return;
  const problems = faults.map(({ pointer, message }) => ({
    pointer: `/inputs${pointer}`,
    code: 'invalid_inputs' as const,
    message,
  }));
  throw new EngineError('invalid_inputs', `The inputs do not match the input schema of ${name}.`, problems);
}
