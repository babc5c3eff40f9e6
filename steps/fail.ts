/** `fail`: ends its branch with a failure that the author names. It is never retried. */
import type { Json } from '../core/json/json.ts';
import { next } from '../core/next.ts';
import { messageText } from './log.ts';
import { StepFailure, type StepType } from './step-type.ts';

type FailParams = { message?: Json; code?: string; details?: Json };

export const fail: StepType<FailParams> = {
  type: 'fail',
  summary: 'Fails with a code and a message.',
  readsInputs: () => false,
  schema: {
    type: 'object',
    additionalProperties: false,
    properties: {
      message: { description: 'What went wrong: text, or any value, which is then written as JSON.' },
      code: {
        type: 'string',
        pattern: '^[A-Za-z][A-Za-z0-9_.-]{0,63}$',
        examples: ['out_of_stock'],
        default: 'failed',
        description: 'What steps on a failure edge find in `inputs.<key>.code`.',
      },
      details: { description: 'Any value; what they find in `inputs.<key>.details`.' },
    },
  },
  run({ params, step }) {
    const fail = (message: string): never => {
      throw new StepFailure(params.code ?? 'failed', message, { details: params.details ?? null });
    };
    if (params.message === undefined) return fail(`step "${step.key}" failed on purpose`);
    return next(messageText(params.message), fail);
  },
};
