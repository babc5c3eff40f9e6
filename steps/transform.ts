/**
 * `transform`: one value built with expressions.
 *
 * `value` is not required by the schema: an expression that yields `undefined` drops the key, and the output is
 * then null rather than a failure.
 */
import type { Json } from '../core/json/json.ts';
import type { StepType } from './step-type.ts';

type TransformParams = { value?: Json };

export const transform: StepType<TransformParams> = {
  type: 'transform',
  summary: 'Builds a value with expressions.',
  readsInputs: () => false,
  schema: {
    type: 'object',
    additionalProperties: false,
    properties: { value: { description: 'The output, after its expressions are evaluated.' } },
  },
  run: (context) => context.params.value ?? null,
};
