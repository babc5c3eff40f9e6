/**
 * Failed properties told shortly: the template as its definition would read, the scripts, and the cause.
 */
import type { RunDetails } from 'fast-check';
import type { Template } from '../../../core/template.ts';
import type { NestedTemplate } from './nested-view.ts';
import type { StepScript } from './scripts.ts';

/** Throws the shrunk counterexample of a failed property, with what repeats it. */
export function reportShortly<T>(details: RunDetails<T>): void {
  if (!details.failed) return;
  const [template, ...rest] = (details.counterexample ?? []) as unknown[];
  const lines = [
    `Property failed after ${details.numRuns} runs (seed ${details.seed}, path ${details.counterexamplePath}).`,
    template === undefined ? '' : describeTemplate(template as Template, rest),
    JSON.stringify(rest.filter((value) => !Array.isArray(value))),
  ];
  const cause = details.errorInstance;
  if (cause instanceof Error) lines.push(cause.message);
  throw new Error(lines.join('\n'), { cause });
}

/** The same for templates with scopes. */
export function reportNested<T>(details: RunDetails<T>): void {
  if (!details.failed) return;
  const [nested] = (details.counterexample ?? []) as unknown as [NestedTemplate?];
  const lines = [
    `Property failed after ${details.numRuns} runs (seed ${details.seed}, path ${details.counterexamplePath}).`,
    ...(nested === undefined ? [] : describeNested(nested, '')),
  ];
  const cause = details.errorInstance;
  if (cause instanceof Error) lines.push(cause.message);
  throw new Error(lines.join('\n'), { cause });
}

function describeNested({ template, scripts, holders }: NestedTemplate, indent: string): string[] {
  const own = describeTemplate(template, [scripts]).split('\n');
  const inner = [...holders].flatMap(([key, { inner, rounds, concurrency, tolerated }]) => [
    `  ${key} holds [${rounds}], ${concurrency} at once, ${tolerated} tolerated:`,
    ...describeNested(inner, '  '),
  ]);
  return [...own, ...inner].map((line) => `${indent}${line}`);
}

function describeTemplate({ onFailure, steps }: Template, rest: readonly unknown[]): string {
  const scripts = rest.find((value) => Array.isArray(value)) as StepScript[] | undefined;
  const lines = steps.map((step, at) => {
    const edges = step.edges.map(({ from, conditions }) => {
      const words = conditions.map(({ on, routes }) => (routes === null ? on : routes.join('+')));
      return `${from}:${words.join('|')}`;
    });
    const extra = `priority ${step.priority}, retries ${step.retry.limit}`;
    return `  ${step.key} (${step.type}, ${extra}) needs [${edges}] join ${step.join}${step.cancelsLosers ? ' cancels losers' : ''}${step.compensation === null ? '' : ` undo ${step.compensation.retry.limit}`} ${JSON.stringify(scripts?.[at])}`;
  });
  return [`onFailure: ${onFailure}`, ...lines].join('\n');
}
