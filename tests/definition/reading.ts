/**
 * Reads definitions with the real step types, expression checker and schema checker.
 */

import type { StepTypeRegistry } from '../../core/step-type.ts';
import type { Template } from '../../core/template.ts';
import { type ReadDefinition, readDefinition } from '../../definition/definition.ts';
import type { LintContext } from '../../definition/lint/context.ts';
import { createSchemaChecker } from '../../definition/schema/json-schema.ts';
import { expressionChecker } from '../../expression/compiled-value.ts';
import { createStepTypes } from '../../steps/registry.ts';
import type { StepType } from '../../steps/step-type.ts';
import { holding } from '../support/steps/holding.ts';

/** A type of an operator whose functions trip over everything. */
const fragile: StepType = {
  type: 'fragile',
  summary: 'Throws when it is asked for its routes.',
  schema: true,
  routes() {
    throw new Error('no routes today');
  },
  run: () => null,
};

export const stepTypes: StepTypeRegistry = createStepTypes({
  http: { allow: [], maxResponseBytes: 1_000_000, timeoutMs: 30_000 },
  script: { timeoutMs: 5_000, memoryBytes: 32 * 2 ** 20 },
  extra: [fragile],
});

export const context: LintContext = {
  stepTypes,
  expressions: expressionChecker,
  schemas: createSchemaChecker(),
  secrets: new Set(['TOKEN']),
  limits: { maxSteps: 10_000, maxScopeDepth: 16, maxDepth: 512 },
};

/** With the types that hold steps, beside the real ones. */
export const withHolders: LintContext = {
  ...context,
  stepTypes: new Map([...stepTypes, ...holding.map((type) => [type.type, type] as const)]),
};

export function read(document: unknown, overrides: Partial<LintContext> = {}): ReadDefinition {
  return readDefinition(document, { ...context, ...overrides });
}

/** Reads `steps` under a valid header. */
export function readSteps(steps: unknown, header: Record<string, unknown> = {}): ReadDefinition {
  return read({ name: 'order', ...header, steps });
}

/** The template of a definition that must be valid. */
export function templateOf(steps: unknown, header: Record<string, unknown> = {}): Template {
  const { template, errors } = readSteps(steps, header);
  if (template === null) throw new Error(errors.map(showProblem).join('\n'));
  return template;
}

/** `code pointer` of each error, in the order they were found. */
export function errorsOf({ errors }: ReadDefinition): string[] {
  return errors.map(({ code, pointer }) => `${code} ${pointer}`);
}

export function warningsOf({ warnings }: ReadDefinition): string[] {
  return warnings.map(({ code, pointer }) => `${code} ${pointer}`);
}

export function showProblem({
  code,
  pointer,
  message,
}: {
  code: string;
  pointer: string;
  message: string;
}): string {
  return `${code} ${pointer}: ${message}`;
}
