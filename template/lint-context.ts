/**
 * What definitions are checked against in this engine: its step types, expressions and schema rules.
 */

import type { LintContext } from '../definition/lint/context.ts';
import { createSchemaChecker } from '../definition/schema/json-schema.ts';
import { expressionChecker } from '../expression/compiled-value.ts';
import type { StepType } from '../steps/step-type.ts';

export function lintContext(
  stepTypes: ReadonlyMap<string, StepType>,
  limits: LintContext['limits'],
  secrets: readonly string[] | null,
): LintContext {
  return {
    stepTypes,
    expressions: expressionChecker,
    schemas: createSchemaChecker(),
    limits,
    secrets: secrets === null ? null : new Set(secrets),
  };
}
