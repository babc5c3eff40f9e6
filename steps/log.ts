/** `log`: writes a line to the step's log, and passes the message on. */
import type { Json } from '../core/json/json.ts';
import { next } from '../core/next.ts';
import { cutText } from '../core/text/cut.ts';
import { jsonOf } from '../process/json-of.ts';
import type { StepType } from './step-type.ts';

type LogParams = { message?: Json; level?: 'info' | 'warn' | 'error' };

/** A line of the log has no more characters. */
const MAX_LENGTH = 50_000;

/** Text stays text; anything else is written as JSON, at once unless it is large. Long texts are cut. */
export function messageText(message: Json | undefined): string | Promise<string> {
  const value = message ?? null;
  if (typeof value === 'string') return cutText(value, MAX_LENGTH);
  return next(jsonOf(value), (text) => cutText(text!, MAX_LENGTH));
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
    const done = (text: string) => {
      lines[params.level ?? 'info'](text);
      return params.message ?? null;
    };
    return next(messageText(params.message), done);
  },
};
