/** `log`: writes a line to the step's log, and passes the message on. */
import type { Json } from '../core/json/json.ts';
import type { StepType } from './step-type.ts';

type LogParams = { message?: Json; level?: 'info' | 'warn' | 'error' };

/** Text stays text; anything else is written as JSON. */
export function messageText(message: Json | undefined): string {
  return typeof message === 'string' ? message : JSON.stringify(message ?? null);
}

export const log: StepType<LogParams> = {
  type: 'log',
  summary: "Writes a message to the step's log.",
  readsInputs: () => false,
  schema: {
    type: 'object',
    additionalProperties: false,
    properties: {
      message: { description: 'Text, or any value, which is then written as JSON. It is also the output.' },
      level: { enum: ['info', 'warn', 'error'], default: 'info', description: 'Level of the line.' },
    },
  },
  run({ params, log: lines }) {
    lines[params.level ?? 'info'](messageText(params.message));
    return params.message ?? null;
  },
};
