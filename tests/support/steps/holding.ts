/**
 * Step types that hold steps in the ways in which a type can, for tests of definitions. They do not run.
 */
import type { StepType } from '../../../steps/step-type.ts';

function run(): never {
  throw new Error('This type is for definitions only.');
}

const ANY = { type: 'object' } as const;

/** One scope for each item, with an output of its own. */
export const each: StepType = {
  type: 'each',
  summary: 'Runs steps for each item.',
  schema: {
    ...ANY,
    additionalProperties: false,
    required: ['items'],
    properties: { items: true, concurrency: { type: 'integer' }, steps: ANY, output: true, inputs: ANY },
  },
  holds: [{ steps: '/steps', output: '/output', alongside: ['/inputs'], names: ['item', 'index'] }],
  run,
};

/** One scope for each iteration, and a condition that is evaluated before it. */
export const again: StepType = {
  type: 'again',
  summary: 'Runs steps again and again.',
  schema: {
    ...ANY,
    additionalProperties: false,
    properties: { while: { type: ['boolean', 'string'] }, steps: ANY, output: true },
  },
  holds: [{ steps: '/steps', output: '/output', alongside: ['/while'], names: ['iteration', 'previous'] }],
  run,
};

/** Any number of scopes, with an input of their own. */
export const tools: StepType = {
  type: 'tools',
  summary: 'Runs steps when a model calls for them.',
  schema: {
    ...ANY,
    properties: {
      tools: { type: 'array', items: { ...ANY, properties: { name: { type: 'string' }, steps: ANY } } },
    },
  },
  holds: [{ steps: '/tools/*/steps', names: [], ownInput: true }],
  run,
};

export const holding: readonly StepType[] = [each, again, tools];
