/**
 * The list of all steps of a template, by position.
 */
import { segmentKey } from '../json/pointer.ts';
import type { TemplateStep } from '../template.ts';
import { scopePath, stepPath } from './step-path.ts';

/** A step of the list of all steps. */
export interface ListedStep {
  readonly path: string;
  /** The keys that lead to it in the definition's `steps`. */
  readonly place: readonly string[];
  readonly step: TemplateStep;
}

/**
 * Lists the steps of a scope with their compensations behind them, then those of all scopes inside it, by position. Recurses
 * as deep as scopes are nested.
 */
export function listSteps(
  steps: readonly TemplateStep[],
  scope = '',
  place: readonly string[] = [],
): ListedStep[] {
  const own = steps.map((step) => ({
    path: stepPath(scope, step.key),
    place: [...place, step.key],
    step,
  }));
  const compensations = own.flatMap(({ step: { compensation }, place }) =>
    compensation === null
      ? []
      : { path: stepPath(scope, compensation.key), place: [...place, 'compensateWith'], step: compensation },
  );
  return [...own, ...compensations, ...own.flatMap(listInside)];
}

function listInside({ path, place, step }: ListedStep): ListedStep[] {
  return step.scopes.flatMap(({ pointer, steps }, number) => {
    const keys = pointer.split('/').slice(1).map(segmentKey);
    return listSteps(steps, scopePath(path, number), [...place, 'with', ...keys]);
  });
}
