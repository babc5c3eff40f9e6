/** `noop`: passes data on. It is a place for branches to meet or fork, or a name for a value. */
import type { StepType } from './step-type.ts';

export const noop: StepType = {
  type: 'noop',
  summary: 'Does nothing: its output is `with`, or what arrived over its edges.',
  schema: {
    type: 'object',
    description:
      'Anything; it becomes the output. Without `with` the output is `{ <key>: output }` of the inputs.',
    additionalProperties: true,
  },
  readsInputs: (params) => params === undefined,
  passesInputs: (params) => params === undefined,
  run: (context) => (context.hasParams ? context.params : context.inputs),
};
