/**
 * `switch`: names the routes its result takes; edges with another `route` are dead.
 *
 * Each `when` is evaluated in its turn and not with the other parameters, so a case after the chosen one is never
 * evaluated and cannot fail the step.
 */
import type { Json, JsonObject } from '../core/json/json.ts';
import { isObject } from '../core/json/json.ts';
import { Routed, type StepContext, type StepType } from './step-type.ts';

type SwitchParams = {
  cases: { route: string; when: boolean | string }[];
  default?: string;
  multiple?: boolean;
};

const ROUTE = { type: 'string', minLength: 1, maxLength: 64 } as const;

/** Route names as far as they can be read without evaluating anything: cases in order, then the default. */
function declaredRoutes(params: JsonObject): string[] {
  const cases = Array.isArray(params.cases) ? params.cases : [];
  const named: (Json | undefined)[] = cases.map((entry) => (isObject(entry) ? entry.route : undefined));
  const routes = [...named, params.default].filter(
    (route) => typeof route === 'string' && !route.includes('${{'),
  );
  return [...new Set(routes as string[])];
}

/** One case alone; with `multiple`, which may be an expression, all of them or the default alone. */
function routesTogether(params: JsonObject): string[][] {
  const { multiple, default: fallback, ...rest } = params;
  if (multiple === undefined || multiple === false) return declaredRoutes(params).map((route) => [route]);
  return [declaredRoutes(rest), ...(typeof fallback === 'string' ? [[fallback]] : [])];
}

async function takenRoutes(context: StepContext<SwitchParams>): Promise<string[]> {
  const { cases, default: fallback, multiple = false } = context.params;
  const taken = new Set<string>();
  for (const { route, when } of cases) {
    if (!(await context.evaluate(when))) continue;
    taken.add(route);
    if (!multiple) break;
  }
  if (taken.size === 0 && fallback !== undefined) taken.add(fallback);
  return [...taken];
}

export const switchStep: StepType<SwitchParams> = {
  type: 'switch',
  summary: 'Takes the route of the first case that is true.',
  readsInputs: () => false,
  schema: {
    type: 'object',
    additionalProperties: false,
    required: ['cases'],
    properties: {
      cases: {
        type: 'array',
        minItems: 1,
        description: 'Tried in order.',
        items: {
          type: 'object',
          additionalProperties: false,
          required: ['route', 'when'],
          properties: {
            route: { ...ROUTE, description: 'What edges name in their `route`.' },
            when: {
              description: 'A boolean or one ${{ }} expression; JavaScript truthiness.',
              anyOf: [
                { type: 'boolean' },
                {
                  type: 'string',
                  pattern: '^\\s*\\$\\{\\{[\\s\\S]*\\}\\}\\s*$',
                  examples: ['${{ input.total > 100 }}'],
                },
              ],
            },
          },
        },
      },
      default: {
        ...ROUTE,
        description: 'The route when no case is true. Without it no routed edge is live.',
      },
      multiple: {
        type: 'boolean',
        default: false,
        description: 'Take the route of every case that is true.',
      },
    },
  },
  deferred: ['/cases/*/when'],
  routes: declaredRoutes,
  routesTogether,
  async run(context) {
    const routes = await takenRoutes(context);
    return new Routed({ routes }, routes);
  },
};
