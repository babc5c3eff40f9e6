/**
 * The requests and answers of the calls on events, as schemas.
 */
import { z } from '@hono/zod-openapi';
import { EXECUTION_STATUSES, STEP_STATUSES } from '../../core/status.ts';
import { EVENT_TYPES, type EventBody } from '../../services/history/event-answers.ts';
import { ATTEMPT_OUTCOMES } from '../../services/steps/answers.ts';
import { IdShape, InstantShape } from '../execution/bodies.ts';
import { LimitShape, pageShape } from '../page.ts';

const EventIdShape = z
  .string()
  .min(1)
  .max(64)
  .openapi({ description: 'The `id` of an event.', example: '12.3' });

const StreamShape = z.strictObject({
  execution_id: IdShape,
  scope: z.string().min(1).max(2_000).optional().openapi({
    description: 'A scope such as `each[3]`, which has a stream of its own; default: the top level.',
    example: 'each[3]',
  }),
});

export const EventsQueryShape = StreamShape.extend({
  after: EventIdShape.optional().openapi({
    description: 'Begins after this event; the header `Last-Event-ID`, if there is one, counts instead.',
  }),
});

export const EventLogQueryShape = StreamShape.extend({
  after: EventIdShape.optional().openapi({ description: 'Events after this one.' }),
  before: EventIdShape.optional().openapi({
    description: 'Events before this one; without `after` the last ones of these.',
  }),
  limit: LimitShape.optional().openapi({ description: 'Default 100.' }),
});

export const LastEventIdShape = z.object({ 'Last-Event-ID': EventIdShape.optional() });

const StatusShape = z.enum([...new Set([...EXECUTION_STATUSES, ...STEP_STATUSES])]);

export const EventShape = z
  .object({
    id: z.string(),
    type: z.enum(EVENT_TYPES),
    step_id: z.guid().nullable(),
    key: z.string().nullable(),
    scope: z.string().nullable(),
    from: StatusShape.nullable().openapi({ description: 'Null: none, or it is not known any more.' }),
    to: StatusShape,
    at: InstantShape,
    attempt: z.int().optional(),
    outcome: z
      .enum(ATTEMPT_OUTCOMES)
      .nullable()
      .optional()
      .openapi({ description: 'How the attempt ended; null: it did not.' }),
    error_code: z.string().nullable().optional(),
  })
  .openapi('Event') as unknown as z.ZodType<EventBody>;

export const EventLogShape = pageShape(EventShape).openapi('EventLog');
