/**
 * The step types, expressions and schema rules of this engine. Definitions are checked against them when they are
 * published, and compiled with them when they run.
 */
import { buildStored, judgeStored } from '../definition/definition.ts';
import type { LintContext } from '../definition/lint/context.ts';
import { createSchemaChecker } from '../definition/schema/json-schema.ts';
import { MAX_SCOPE_DEPTH } from '../definition/scopes.ts';
import { expressionChecker } from '../expression/compiled-value.ts';
import type { StepType } from '../steps/step-type.ts';
import type { CompileContext } from './compile.ts';

export function lintContext(
  stepTypes: ReadonlyMap<string, StepType>,
  limits: Omit<LintContext['limits'], 'maxScopeDepth'>,
  secrets: readonly string[] | null,
): LintContext {
  return {
    stepTypes,
    expressions: expressionChecker,
    schemas: createSchemaChecker(),
    limits: { ...limits, maxScopeDepth: MAX_SCOPE_DEPTH },
    secrets: secrets === null ? null : new Set(secrets),
  };
}

export function compileContext(lint: LintContext, stepTypes: ReadonlyMap<string, StepType>): CompileContext {
  return {
    stepTypes,
    judge: (document) => judgeStored(document, lint),
    build: (document) => buildStored(document, lint),
    validate: (schema, value) => lint.schemas.validate(schema, value),
  };
}
