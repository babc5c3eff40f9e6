/**
 * Hostile definitions as JSON or YAML.
 */
import { stringify } from 'yaml';
import type { Chance } from '../chance.ts';
import { hostileExpression, manyExpressions } from './expressions.ts';
import { hostileSchema } from './schemas.ts';
import { garbled, hostileJson, hostileYaml } from './values.ts';

export interface DefinitionText {
  readonly text: string;
  readonly mediaType: 'application/json' | 'application/yaml';
}

type Steps = Record<string, unknown>;

const list = <T>(length: number, make: (at: number) => T): T[] => Array.from({ length }, (_, at) => make(at));
const stepsOf = (length: number, make: (at: number) => unknown): Steps =>
  Object.fromEntries(list(length, (at) => [`s${at}`, make(at)]));

/** Steps, and the fields beside them; `size` is about the number of characters. */
const SHAPES: readonly ((draw: Chance, size: number) => { steps: unknown; [field: string]: unknown })[] = [
  (draw, size) => ({
    steps: { a: { type: 'transform', with: { value: hostileExpression(draw, size / 2) } } },
  }),
  (draw, size) => ({ steps: { a: { type: 'noop', when: hostileExpression(draw, size / 2) } } }),
  (draw, size) => ({ steps: { a: { type: 'noop' } }, output: { a: hostileExpression(draw, size / 2) } }),
  (draw, size) => ({
    steps: { a: { type: 'noop', concurrency: { key: hostileExpression(draw, size / 2), limit: 1 } } },
  }),
  (draw, size) => ({
    steps: {
      a: { type: 'switch', with: { cases: [{ route: 'r', when: hostileExpression(draw, size / 2) }] } },
    },
  }),
  (draw, size) => ({ steps: { a: { type: 'log', with: { message: manyExpressions(draw, size) } } } }),
  (draw, size) => ({
    steps: stepsOf(size / 90, () => ({ type: 'transform', with: { value: hostileExpression(draw, 20) } })),
  }),
  (draw, size) => ({ input: hostileSchema(draw, size / 60), steps: { a: { type: 'noop' } } }),
  (draw, size) => ({ input: hostileSchema(draw, size / 60), steps: { a: { type: 'noop' } } }),
  (_draw, size) => ({
    steps: stepsOf(size / 40, (at) => ({ type: 'noop', ...(at > 0 ? { needs: [`s${at - 1}`] } : {}) })),
  }),
  (_draw, size) => ({
    steps: {
      ...stepsOf(size / 60, () => ({ type: 'noop' })),
      last: { type: 'merge', needs: list(size / 60, (at) => `s${at}`) },
    },
  }),
  // Each step needs all steps before it.
  (_draw, size) => ({
    steps: stepsOf(Math.sqrt(size / 4), (at) => ({
      type: 'noop',
      needs: list(at, (before) => `s${before}`),
    })),
  }),
  (_draw, size) => ({
    steps: stepsOf(size / 40, (at) => ({
      type: 'noop',
      needs: [`s${(at + 1) % Math.max(2, Math.floor(size / 40))}`],
    })),
  }),
  (_draw, size) => ({ steps: stepsOf(size / 40, (at) => ({ type: `tpye${at}`, needs: [`x${at}`] })) }),
  (_draw, size) => ({
    steps: { a: { type: 'noop', ...Object.fromEntries(list(size / 12, (at) => [`field${at}`, 1])) } },
  }),
  (_draw, size) => ({
    steps: { a: { type: 'http', with: Object.fromEntries(list(size / 12, (at) => [`field${at}`, 1])) } },
  }),
  (_draw, size) => ({
    steps: {
      a: {
        type: 'switch',
        with: { cases: list(size / 80, (at) => ({ route: `r${at}`, when: '${{ true }}' })) },
      },
      b: { type: 'noop', needs: list(size / 80, (at) => ({ step: 'a', route: `r${at}x` })) },
    },
  }),
  (_draw, size) => ({ steps: { a: { type: 'noop', needs: list(size / 12, (at) => `step-${at}`) } } }),
  (_draw, size) => ({
    steps: stepsOf(size / 100, (at) => ({
      type: 'noop',
      retry: { limit: at, delay: 'x', backof: 1 },
      timeout: '0s',
      join: { atLeast: at },
    })),
  }),
  (_draw, size) => ({
    steps: Object.fromEntries(list(size / 70, (at) => ['k'.repeat(1 + (at % 70)) + at, { type: 'noop' }])),
  }),
  (_draw, size) => ({
    steps: { a: { type: 'noop' } },
    ...Object.fromEntries(list(size / 12, (at) => [`top${at}`, at])),
  }),
];

export function hostileDefinition(draw: Chance, size: number): DefinitionText {
  const isYaml = draw.happens(0.4);
  const mediaType = isYaml ? 'application/yaml' : 'application/json';
  if (draw.happens(0.25)) {
    const value = isYaml ? hostileYaml(draw, size) : hostileJson(draw, size);
    return { text: draw.happens(0.5) ? value : around(value, isYaml), mediaType };
  }
  const { steps, ...fields } = draw.pick(SHAPES)(draw, size);
  const definition = { name: `fuzz-${draw.below(50)}`, ...fields, steps };
  const text = isYaml ? stringify(definition, { aliasDuplicateObjects: false }) : JSON.stringify(definition);
  return { text: draw.happens(0.15) ? garbled(draw, text) : text, mediaType };
}

/** A definition that has a text in one place. */
function around(value: string, isYaml: boolean): string {
  if (!isYaml) return `{"name":"fuzz-raw","steps":{"a":{"type":"transform","with":{"value":${value}}}}}`;
  const indented = value.replaceAll('\n', '\n      ');
  return `name: fuzz-raw\nsteps:\n  a:\n    type: transform\n    with:\n      ${indented}\n`;
}
