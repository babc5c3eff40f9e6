/**
 * `workflow`: starts an execution of another template, its child, and ends with it.
 *
 * The handler only says which: the child starts in the commit that parks the step, so that no failure starts it twice.
 */
import type { Json } from '../core/json/json.ts';
import { START_BOUNDS } from '../core/start/start-bounds.ts';
import { Child, type StepType } from './step-type.ts';

interface WorkflowParams {
  name: string;
  version?: number;
  inputs?: Json;
  wait?: boolean;
}

export const workflow: StepType<WorkflowParams> = {
  type: 'workflow',
  summary: 'Starts another workflow as a child execution, and waits for its end.',
  waitsFor: 'child',
  readsInputs: () => false,
  schema: {
    type: 'object',
    additionalProperties: false,
    required: ['name'],
    properties: {
      name: {
        type: 'string',
        pattern: START_BOUNDS.templatePattern,
        examples: ['order-fulfilment'],
        description: 'The template to start, in the same workspace.',
      },
      version: {
        type: 'integer',
        minimum: 1,
        maximum: START_BOUNDS.maxVersion,
        description: 'Default: the latest when the child starts.',
      },
      inputs: { description: 'The inputs of the child; {} by default.' },
      wait: {
        type: 'boolean',
        description:
          'true (default): the step ends with the child, and has its outputs. false: it completes with { execution_id }.',
      },
    },
  },
  run: ({ params: { name, version = null, inputs = {}, wait = true } }) =>
    new Child({ name, version, inputs, isAwaited: wait }),
};
