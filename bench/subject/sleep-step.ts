/** `bench.sleep`: a handler that takes its time and no CPU; loaded through EXECUTION_ENGINE_STEPS. */
import type { StepType } from '../../steps/step-type.ts';

const sleep: StepType<{ ms: number }> = {
  type: 'bench.sleep',
  summary: 'Sleeps in the handler, holding its slot.',
  schema: {
    type: 'object',
    required: ['ms'],
    additionalProperties: false,
    properties: { ms: { type: 'integer', minimum: 0 } },
  },
  run: ({ params }) => new Promise((resolve) => setTimeout(resolve, params.ms)),
};

export default sleep;
