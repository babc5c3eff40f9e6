/**
 * The templates that a definition starts by their names, and the warnings about them. A name that is an expression is known
 * only when its step runs.
 */
import { type Problem, pointerSegment } from '../core/problem.ts';
import { listSteps } from '../core/scopes/step-list.ts';
import type { TemplateStep } from '../core/template.ts';
import { asWritten } from '../definition/child-scope.ts';

export interface CalledTemplate {
  readonly name: string;
  /** Null: the latest one when the child starts. */
  readonly version: number | null;
  /** Where the definition names it. */
  readonly pointer: string;
}

const TYPE = 'workflow';
const EXPRESSION = '${{';

export function calledTemplates(steps: readonly TemplateStep[]): CalledTemplate[] {
  return listSteps(steps).flatMap(({ place, step }) => {
    const { name, version = null } = step.with ?? {};
    if (step.type !== TYPE || typeof name !== 'string' || name.includes(EXPRESSION)) return [];
    const pointer = asWritten(`/steps${place.map(pointerSegment).join('')}/with/name`);
    return [{ name, version: typeof version === 'number' ? version : null, pointer }];
  });
}

/** Returns warnings of steps that start the template that they are of. */
export function selfCalls(own: string, called: readonly CalledTemplate[]): Problem[] {
  return called
    .filter(({ name }) => name === own)
    .map(({ pointer }) => ({
      pointer,
      code: 'child_starts_itself',
      message:
        `The step starts "${own}", the template that it is of: each execution starts another one, down to ` +
        'EXECUTION_ENGINE_MAX_CHILD_DEPTH, and in a foreach many. Give the step a `when` that ends it.',
    }));
}

/** Returns the warning of a child whose template is not there. */
export function missingCall({ name, version, pointer }: CalledTemplate): Problem {
  const what = version === null ? `"${name}"` : `"${name}" with version ${version}`;
  const message = `No template ${what} is published in this workspace: the step fails with template_not_found until it is. Publish it, or mend the name.`;
  return { pointer, code: 'child_not_published', message };
}
