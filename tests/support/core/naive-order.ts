/**
 * Depth and breadth-first order, worked out the obvious way from the contract's text.
 *
 * The other opinion on `core/graph.ts`, so it shares no code with it; exponential in the worst case.
 */
import type { Template, TemplateStep } from '../../../core/template.ts';

/** The longest path from a root to the step, counted in edges, by plain recursion. */
export function naiveDepth(template: Template, key: string): number {
  const step = template.steps.find((candidate) => candidate.key === key)!;
  return Math.max(0, ...step.edges.map((edge) => 1 + naiveDepth(template, edge.from)));
}

/** All keys in breadth-first order: depth, then priority (higher first), then definition order. */
export function naiveOrder(template: Template): string[] {
  const depth = new Map(template.steps.map(({ key }) => [key, naiveDepth(template, key)]));
  const before = (a: TemplateStep, b: TemplateStep): number =>
    depth.get(a.key)! - depth.get(b.key)! ||
    b.priority - a.priority ||
    template.steps.indexOf(a) - template.steps.indexOf(b);
  return [...template.steps].sort(before).map(({ key }) => key);
}
