/**
 * Templates for tests: a builder that reads like a definition, the named graphs, and random ones.
 *
 * Every template made here is one that publishing would accept: acyclic, routes only on edges from steps
 * that name routes, joins within the number of edges.
 */
import fc from 'fast-check';
import type {
  EdgeCondition,
  EdgeOn,
  Join,
  RetryPolicy,
  ScopeTemplate,
  Template,
  TemplateStep,
} from '../../../core/template.ts';
import { ROUTES } from './route-names.ts';

/** One entry of `needs`, as a definition writes it. */
export type Need = string | { step: string; on?: EdgeOn; route?: string | readonly string[] };

export interface StepOptions {
  needs?: readonly Need[];
  join?: Join | 'any';
  cancelsLosers?: boolean;
  type?: string;
  priority?: number;
  retry?: Partial<RetryPolicy>;
  /** It is undone by a step that may be retried so often. */
  undo?: { retries: number };
  /** The steps of each scope that it holds. */
  scopes?: readonly Record<string, StepOptions>[];
}

export const NO_RETRY: RetryPolicy = {
  limit: 0,
  delayMs: 1000,
  backoff: 'fixed',
  maxDelayMs: null,
  jitter: false,
};

/** A template from `{ key: options }`; entries of `needs` that name the same step become one edge. */
export function buildTemplate(
  steps: Record<string, StepOptions>,
  onFailure: Template['onFailure'] = 'stop',
): Template {
  return {
    name: 'test',
    description: null,
    input: null,
    timeoutMs: null,
    onFailure,
    output: undefined,
    steps: buildSteps(steps),
  };
}

function buildSteps(steps: Record<string, StepOptions>): TemplateStep[] {
  return Object.entries(steps).map(([key, options]) => buildStep(key, options));
}

function buildScope(steps: Record<string, StepOptions>, number: number): ScopeTemplate {
  return {
    pointer: `/scopes/${number}/steps`,
    names: ['item', 'index'],
    ownInput: false,
    steps: buildSteps(steps),
    output: undefined,
  };
}

function buildStep(key: string, { needs = [], join = 'all', ...options }: StepOptions): TemplateStep {
  const edges = new Map<string, EdgeCondition[]>();
  for (const need of needs) {
    const { step, on = 'success', route = null } = typeof need === 'string' ? { step: need } : need;
    const routes = typeof route === 'string' ? [route] : route;
    edges.set(step, [...(edges.get(step) ?? []), { on, routes }]);
  }
  return {
    key,
    type: options.type ?? 'noop',
    edges: [...edges].map(([from, conditions]) => ({ from, conditions })),
    needsCount: needs.length,
    join: join === 'any' ? 1 : join,
    cancelsLosers: options.cancelsLosers ?? false,
    when: undefined,
    with: undefined,
    retry: { ...NO_RETRY, ...options.retry },
    timeoutMs: null,
    heartbeatTimeoutMs: null,
    priority: options.priority ?? 0,
    concurrency: null,
    rateLimit: null,
    compensation:
      options.undo === undefined
        ? null
        : buildStep(`${key}~compensation`, { retry: { limit: options.undo.retries } }),
    scopes: (options.scopes ?? []).map(buildScope),
  };
}

/** step1 -> step2 -> ... */
export function chain(length: number): Template {
  const steps: Record<string, StepOptions> = {};
  for (let at = 1; at <= length; at++) steps[`step${at}`] = at === 1 ? {} : { needs: [`step${at - 1}`] };
  return buildTemplate(steps);
}

/** split -> left, right -> meet */
export function diamond(onFailure: Template['onFailure'] = 'stop'): Template {
  return buildTemplate(
    {
      split: {},
      left: { needs: ['split'] },
      right: { needs: ['split'] },
      meet: { needs: ['left', 'right'] },
    },
    onFailure,
  );
}

/** first -> branch1 ... branchN -> last */
export function fanOut(width: number): Template {
  const branches = Array.from({ length: width }, (_, at) => `branch${at + 1}`);
  return buildTemplate({
    first: {},
    ...Object.fromEntries(branches.map((key) => [key, { needs: ['first'] }])),
    last: { needs: branches },
  });
}

/** a, b, c -> meet, which runs when `enough` of the three are live. */
export function threeInto(enough: Join | 'any', onFailure: Template['onFailure'] = 'continue'): Template {
  return buildTemplate(
    { a: {}, b: {}, c: {}, meet: { needs: ['a', 'b', 'c'], join: enough }, after: { needs: ['meet'] } },
    onFailure,
  );
}

/** The order fulfilment of the contract. */
export function orderFulfilment(): Template {
  return buildTemplate({
    reserve: {
      type: 'http',
      retry: { limit: 5, delayMs: 1000, backoff: 'exponential', maxDelayMs: 60_000, jitter: true },
    },
    decide: { type: 'switch', needs: ['reserve'] },
    express: { type: 'http', needs: [{ step: 'decide', route: 'express' }] },
    standard: { type: 'http', needs: [{ step: 'decide', route: 'standard' }] },
    ship: { type: 'merge', needs: ['express', 'standard'] },
    alert: { type: 'http', needs: [{ step: 'reserve', on: 'failure' }] },
  });
}

interface DrawnStep {
  place: number;
  isSwitch: boolean;
  needs: { back: number; on: EdgeOn | 'route'; routes: string[] }[];
  join: number;
  cancelsLosers: boolean;
  undo: { retries: number } | null;
  priority: number;
  retry: Partial<RetryPolicy>;
}

const drawnNeed = fc.record({
  back: fc.nat(9),
  on: fc.oneof(
    { weight: 4, arbitrary: fc.constant('success' as const) },
    { weight: 4, arbitrary: fc.constant('route' as const) },
    { weight: 2, arbitrary: fc.constant('failure' as const) },
    { weight: 2, arbitrary: fc.constant('always' as const) },
  ),
  routes: fc.subarray([...ROUTES], { minLength: 1 }),
});

type Kind = 'plain' | 'racing' | 'undone';

function drawnStep(kind: Kind): fc.Arbitrary<DrawnStep> {
  return fc.record({
    place: fc.nat(99),
    isSwitch: fc.boolean(),
    needs: fc.array(drawnNeed, { maxLength: 4, size: 'max' }),
    join: fc.nat(6),
    cancelsLosers: kind === 'plain' ? fc.constant(false) : fc.boolean(),
    undo: kind === 'undone' ? fc.option(fc.record({ retries: fc.nat(2) })) : fc.constant(null),
    priority: fc.integer({ min: -1, max: 2 }),
    retry: fc.record({ limit: fc.nat(2) }),
  });
}

/** Random templates of 1 to `maxSteps` steps whose definition order is not their topological order. */
export function templates(maxSteps: number): fc.Arbitrary<Template> {
  return drawnTemplates(maxSteps, 'plain');
}

/** The same with joins that cancel losers. */
export function racingTemplates(maxSteps: number): fc.Arbitrary<Template> {
  return drawnTemplates(maxSteps, 'racing');
}

/** The same with compensations. */
export function undoneTemplates(maxSteps: number): fc.Arbitrary<Template> {
  return drawnTemplates(maxSteps, 'undone');
}

function drawnTemplates(maxSteps: number, kind: Kind): fc.Arbitrary<Template> {
  return fc
    .record({
      drawn: fc.array(drawnStep(kind), { minLength: 1, maxLength: maxSteps, size: 'max' }),
      onFailure: fc.constantFrom('continue' as const, 'stop' as const),
    })
    .map(({ drawn, onFailure }) => toTemplate(drawn, onFailure));
}

function toTemplate(drawn: readonly DrawnStep[], onFailure: Template['onFailure']): Template {
  const named = drawn.map((step, at) => ({ ...step, key: `s${at}`, at }));
  const inDefinitionOrder = [...named].sort((a, b) => a.place - b.place || a.at - b.at);
  const steps: Record<string, StepOptions> = {};
  for (const step of inDefinitionOrder) {
    const needs = step.at === 0 ? [] : step.needs.map((need) => toNeed(named, step.at, need));
    const edges = new Set(needs.map((need) => (typeof need === 'string' ? need : need.step))).size;
    const isAll = edges === 0 || step.join === 0 || step.join > 3;
    steps[step.key] = {
      needs,
      type: step.isSwitch ? 'switch' : 'noop',
      join: isAll ? 'all' : Math.min(step.join, edges),
      cancelsLosers: step.cancelsLosers && !isAll,
      ...(step.undo === null ? {} : { undo: step.undo }),
      priority: step.priority,
      retry: step.retry,
    };
  }
  return buildTemplate(steps, onFailure);
}

function toNeed(
  named: readonly DrawnStep[],
  at: number,
  { back, on, routes }: DrawnStep['needs'][number],
): Need {
  const from = Math.max(0, at - 1 - back);
  const step = `s${from}`;
  if (on !== 'route') return { step, on };
  return named[from]!.isSwitch ? { step, route: routes } : step;
}
