/**
 * Checks of the answers about events.
 */
import type { EventBody } from '../services/history/event-answers.ts';
import { anything, object, optional, page, text } from './answer.ts';

export const eventLog = page(
  object<EventBody>({
    id: text,
    type: text,
    step_id: optional(text),
    key: optional(text),
    scope: optional(text),
    from: optional(text),
    to: text,
    at: text,
    attempt: anything,
    outcome: anything,
    error_code: anything,
  }),
);
