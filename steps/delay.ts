/**
 * `delay`: waits without holding a worker.
 *
 * The step parks; the database wakes it. This process's clock decides only the obvious: an instant more than a day ago.
 * Anything nearer is parked and judged by the database, so that an engine whose clock is wrong neither skips nor
 * prolongs a wait.
 */
import {
  checkedInstant,
  INSTANT_ACCEPTED,
  INSTANT_OR_DATE_PATTERN,
  parseInstantOrDate,
} from '../core/time/instant.ts';
import { durationOf, durationSchema, faultsOf, knownDuration } from './measure.ts';
import { Parked, StepFailure, type StepType } from './step-type.ts';

type DelayParams = { for?: number | string; until?: number | string };

const DAY_MS = 86_400_000;

/** Milliseconds since 1970; a date without a time is midnight UTC. */
function instantOf(until: number | string): number {
  const ms = typeof until === 'number' ? checkedInstant(until) : parseInstantOrDate(until);
  if (ms !== null) return ms;
  throw new StepFailure(
    'invalid_params',
    `until is ${JSON.stringify(until)}: it takes ${INSTANT_ACCEPTED}, a date, or milliseconds since 1970`,
  );
}

export const delay: StepType<DelayParams> = {
  type: 'delay',
  summary: 'Waits for a duration or until an instant, holding no worker.',
  readsInputs: () => false,
  takes: 'for',
  schema: {
    type: 'object',
    additionalProperties: false,
    properties: {
      for: durationSchema('How long to wait.', 0),
      until: {
        description:
          'When to go on: ISO 8601 with a zone, a date (midnight UTC), or milliseconds since 1970.',
        anyOf: [
          { type: 'integer' },
          {
            type: 'string',
            pattern: INSTANT_OR_DATE_PATTERN,
            examples: ['2030-01-31T09:00:00+01:00', '2030-01-31'],
          },
        ],
      },
    },
    // One of the two, and not both.
    minProperties: 1,
    maxProperties: 1,
  },
  review: (params) =>
    faultsOf({
      for: () => knownDuration(params.for, 'for', 0),
      until: () => params.until !== undefined && instantOf(params.until as string | number),
    }),
  run({ params, resumed }) {
    if (resumed !== null) return { waitedMs: resumed.parkedMs };
    if (params.for !== undefined) {
      const forMs = durationOf(params.for, 'for', 0);
      return forMs === 0 ? { waitedMs: 0 } : new Parked({ forMs });
    }
    const until = instantOf(params.until!);
    return until < Date.now() - DAY_MS
      ? { waitedMs: 0 }
      : new Parked({ until: new Date(until).toISOString() });
  },
};
