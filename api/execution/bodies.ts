/**
 * The requests and answers of the execution calls, as schemas: they check requests and make the OpenAPI document.
 *
 * Invariant 1: every object of a request is strict; an unknown field is refused, not dropped.
 */
import { isIPv6 } from 'node:net';
import { z } from '@hono/zod-openapi';
import type { Json } from '../../core/json/json.ts';
import { START_BOUNDS } from '../../core/start/start-bounds.ts';
import { EXECUTION_STATUSES, STEP_STATUSES } from '../../core/status.ts';
import { DURATION_ACCEPTED, parseDuration, parseDurationText } from '../../core/time/duration.ts';
import { INSTANT_ACCEPTED, parseInstant } from '../../core/time/instant.ts';
import type { JsonPayload } from '../../payload/json-payload.ts';
import type {
  ExecutionStatusBody,
  ScopeNumbers,
  StartItem,
  StartResult,
  StopResult,
} from '../../services/execution-answers.ts';
import { DryRunAskedShape } from '../control/bodies.ts';
import { ByHandShape } from '../control/by-hand.ts';
import { PausedByShape } from '../control/paused-by.ts';

/** A longer wait is answered after this one; proxies cut idle connections soon after. */
export const MAX_WAIT_MS = 60_000;
const { maxVersion, maxKeyLength, maxTags, maxTagLength, maxPriority, maxDelayMs, maxCallbackLength } =
  START_BOUNDS;

export const JsonShape = z
  .unknown()
  .openapi({ description: 'Any JSON value.' }) as unknown as z.ZodType<Json>;
/** A large body comes with the text of its inputs. */
const InputsShape = JsonShape as unknown as z.ZodType<Json | JsonPayload>;
export const ExecutionStatusShape = z.enum(EXECUTION_STATUSES).openapi('ExecutionStatus');
export const StepStatusShape = z.enum(STEP_STATUSES).openapi('StepStatus');
export const InstantShape = z.iso
  .datetime({
    offset: true,
    error: 'expected an ISO 8601 instant with a time zone, such as 2027-01-31T08:00:00Z',
  })
  .openapi({ example: '2027-01-31T08:00:00Z' });

/** An instant in a request, answered in UTC: the database refuses some zones and years that ISO 8601 allows. */
export const AskedInstantShape = z
  .string()
  .max(64)
  .refine((text) => parseInstant(text) !== null, {
    error: `expected ${INSTANT_ACCEPTED}`,
    params: { code: 'wrong_format' },
  })
  .transform((text) => new Date(text).toISOString())
  .openapi({ type: 'string', format: 'date-time' });

/** Any spelling of a UUID that the database takes; answered in lower case. */
export const IdShape = z
  .guid({ error: 'expected a UUID such as 0197a3c4-5b6d-7e8f-9012-3456789abcde' })
  .toLowerCase()
  .openapi({ format: 'uuid' });

export const TemplateNameShape = z
  .string()
  .regex(new RegExp(START_BOUNDS.templatePattern), {
    error:
      'a template name has 1 to 128 letters, digits, dots, underscores or hyphens and starts with a letter or digit',
  })
  .openapi({ example: 'order-fulfilment' });

export const ReasonShape = z.string().max(1_000).openapi({ description: 'Kept with the execution.' });

const IdempotencyKeyShape = z
  .string()
  .regex(new RegExp(`^[^\\u0000-\\u001f\\u007f]{1,${maxKeyLength}}$`, 'u'), {
    error: `a key has 1 to ${maxKeyLength} characters, none of them a control character`,
  });

/** A URL of which some parts are only guessed is refused, such as `https:///host`. */
const CALLBACK = new RegExp(START_BOUNDS.callbackPattern, 'i');

const TagShape = z
  .string()
  .min(1)
  .refine((text) => [...text].length <= maxTagLength, {
    error: `a tag has 1 to ${maxTagLength} characters`,
    params: { code: 'too_big' },
  })
  .openapi({ maxLength: maxTagLength });

/** The key as a header, where only visible ASCII arrives unharmed. */
export const IdempotencyHeaderShape = z.string().regex(/^[\x21-\x7e]{1,255}$/, {
  error: 'a key in the header has 1 to 255 visible ASCII characters and no spaces',
});

export const VersionShape = z.int().min(1).max(maxVersion);

const StartAfterShape = z
  .union([z.string(), z.number()], { error: 'expected text or a number' })
  .refine(isStartTime, {
    error: `start_after is ${INSTANT_ACCEPTED}, or ${DURATION_ACCEPTED}, up to 3650d.`,
    params: { code: 'wrong_format' },
  })
  .openapi({ example: '5m' });

export const StartShape = z
  .strictObject({
    template: TemplateNameShape.optional(),
    workflow_template_id: IdShape.optional(),
    version: VersionShape.optional().openapi({ description: 'Default: the latest.' }),
    inputs: InputsShape.optional(),
    idempotency_key: IdempotencyKeyShape.optional(),
    start_after: StartAfterShape.optional(),
    priority: z
      .int()
      .min(-maxPriority)
      .max(maxPriority)
      .optional()
      .openapi({ description: 'Higher first, from -1000000 to 1000000; default 0.' }),
    tags: z.array(TagShape).max(maxTags).optional(),
    callback_url: z
      .string()
      .refine((text) => [...text].length <= maxCallbackLength, {
        error: `expected at most ${maxCallbackLength} characters`,
        params: { code: 'too_big' },
      })
      .refine(holdsNoCredentials, {
        error: 'expected a URL without user name and password; put a token into its path or query',
      })
      .refine((text) => !holdsNoCredentials(text) || isCallback(text), {
        error: 'expected an http or https URL with a host, and without spaces',
        params: { code: 'wrong_format' },
      })
      .optional()
      .openapi({
        format: 'uri',
        maxLength: maxCallbackLength,
        description: 'Told by POST when the execution is final, at least once.',
      }),
    user_id: IdShape.optional(),
    workspace_id: IdShape.optional(),
  })
  .refine((item) => (item.template === undefined) !== (item.workflow_template_id === undefined), {
    error: 'Give exactly one of template and workflow_template_id.',
    params: { code: 'exactly_one' },
    // Also when another field is wrong, so that all findings come at once.
    when: ({ value }) => typeof value === 'object' && value !== null && !Array.isArray(value),
  })
  .openapi('StartExecution', {
    oneOf: [{ required: ['template'] }, { required: ['workflow_template_id'] }],
  }) satisfies z.ZodType<StartItem>;

export const startManyShape = (most: number) =>
  z
    .strictObject({
      items: z.array(StartShape).min(1).max(most),
    })
    .openapi('StartManyExecutions');

export const StartedShape = z
  .object({ execution_id: z.guid(), status: ExecutionStatusShape, created: z.boolean() })
  .openapi('StartedExecution') satisfies z.ZodType<StartResult>;

export const StartedManyShape = z.object({ executions: z.array(StartedShape) }).openapi('StartedExecutions');

export const StatusQueryShape = z.strictObject({
  execution_id: IdShape,
  include: z.literal('outputs').optional().openapi({ description: 'Adds `outputs` to each step.' }),
  wait: z
    .string()
    .refine((text) => parseDurationText(text) !== null, {
      error: `wait is ${DURATION_ACCEPTED}.`,
      params: { code: 'wrong_format' },
    })
    .transform((text) => Math.min(parseDurationText(text) ?? 0, MAX_WAIT_MS))
    .optional()
    .openapi({
      type: 'string',
      example: '30s',
      description: `Answers when the execution is final, or after this time; at most ${MAX_WAIT_MS / 1_000}s.`,
    }),
  scope: z
    .string()
    .max(2_000)
    .optional()
    .openapi({ description: "Steps of this scope, such as `each[3]`; default '' is the top level." }),
});

export const ExecutionErrorShape = z.object({
  code: z.string(),
  message: z.string(),
  step: z.string().nullable(),
});

const ProgressShape = z
  .object({
    total: z.int(),
    completed: z.int(),
    failed: z.int(),
    skipped: z.int(),
    cancelled: z.int(),
    running: z.int(),
    waiting: z.int(),
    queued: z.int(),
  })
  .openapi('Progress');

export const WaitShape = z.looseObject({ kind: z.string() }).nullable().openapi('WaitingFor', {
  description: 'What the step waits for; null when it is not parked. The other fields depend on `kind`.',
});

const ScopeNumbersShape = z
  .object({
    total: z.int(),
    completed: z.int(),
    failed: z.int(),
    running: z.int(),
    waiting: z.int().openapi({ description: 'Not opened yet.' }),
    cancelled: z.int(),
  })
  .openapi('ScopeNumbers') satisfies z.ZodType<ScopeNumbers>;
export const ParentShape = z
  .object({ execution_id: z.guid(), step_id: z.guid() })
  .nullable()
  .openapi('Parent', { description: 'The step that started the execution; null when no step did.' });

export const RootIdShape = z
  .guid()
  .openapi({ description: 'The execution at the top of the tree: its own id when no step started it.' });

export const ForkedFromShape = z.guid().nullable().openapi({
  description: 'The execution that this one is a fork of, which may be gone; null when it is none.',
});

export const StepErrorShape = z.object({ code: z.string(), message: z.string(), details: JsonShape });

const CompensationShape = z
  .object({
    id: z.guid(),
    status: StepStatusShape,
    attempt_count: z.int(),
    error: StepErrorShape.nullable(),
    completed_at: InstantShape.nullable(),
  })
  .nullable()
  .openapi('Compensation', {
    description: 'The step that undoes this one, in the status of an execution; null while it has not begun.',
  });

export const StepShape = z
  .object({
    id: z.guid(),
    key: z.string(),
    type: z.string(),
    scope: z.string(),
    depth: z.int(),
    status: StepStatusShape,
    attempt_count: z.int(),
    required_inputs: z.int(),
    received_inputs: z.array(z.object({ key: z.string(), live: z.boolean(), route: z.string().nullable() })),
    error: StepErrorShape.nullable(),
    created_at: InstantShape,
    started_at: InstantShape.nullable(),
    completed_at: InstantShape.nullable(),
    resume_at: InstantShape.nullable().openapi({
      description: 'When a waiting or retrying step goes on; null when no time says so.',
    }),
    waiting_for: WaitShape,
    reused_from: z.guid().optional().openapi({
      description: 'In a fork: the step of the source whose result this one has. It was not run here.',
    }),
    by_hand: ByHandShape.optional(),
    scopes: ScopeNumbersShape.optional().openapi({ description: 'Of a step that holds scopes.' }),
    compensation: CompensationShape.optional(),
    children: z
      .array(z.object({ execution_id: z.guid(), status: ExecutionStatusShape }))
      .optional()
      .openapi({ description: 'Child executions of a `workflow` step, by attempt: the first 100.' }),
    outputs: JsonShape.optional(),
  })
  .openapi('Step');

export const StatusShape = z
  .object({
    execution_id: z.guid(),
    status: ExecutionStatusShape,
    stop_requested: z.boolean(),
    paused_by: PausedByShape,
    template: z.string(),
    version: z.int(),
    inputs: JsonShape,
    outputs: JsonShape,
    error: ExecutionErrorShape.nullable(),
    progress: ProgressShape,
    uncertain: z.array(z.string()).openapi({
      description: 'Steps with a compensation that had begun and gave no result.',
    }),
    not_undone: z.array(z.string()).openapi({
      description:
        'Steps that completed and are not undone in an execution that failed, timed out or was cancelled: their compensation failed, was cut off, or never began.',
    }),
    steps: z.array(StepShape),
    parent: ParentShape,
    root_execution_id: RootIdShape,
    forked_from: ForkedFromShape,
    created_at: InstantShape,
    started_at: InstantShape.nullable(),
    completed_at: InstantShape.nullable(),
    resumed_at: InstantShape.nullable().optional().openapi({ description: 'Of the last retry.' }),
    resume_at: InstantShape.nullable().openapi({
      description: 'When a pending execution that was put off begins; null when it was not.',
    }),
  })
  .openapi('Execution') as z.ZodType<ExecutionStatusBody>;

export const StopShape = z
  .strictObject({ execution_id: IdShape, reason: ReasonShape.optional(), dry_run: DryRunAskedShape })
  .openapi('StopExecution');

export const StoppedShape = z
  .object({ execution_id: z.guid(), status: ExecutionStatusShape, stop_requested: z.boolean() })
  .openapi('StoppedExecution') satisfies z.ZodType<StopResult>;

function holdsNoCredentials(url: string): boolean {
  const parsed = URL.parse(url);
  return parsed === null || (parsed.username === '' && parsed.password === '');
}

/** As workflow_start judges it (db/functions/execution_engine_start_problem.sql). */
function isCallback(url: string): boolean {
  const [found, ipv6, port = ''] = CALLBACK.exec(url) ?? [];
  if (found === undefined || (ipv6 !== undefined && !isIPv6(ipv6))) return false;
  return port === '' || (Number(port) >= 1 && Number(port) <= 65_535);
}

function isStartTime(value: string | number): boolean {
  const ms = parseDuration(value);
  if (ms !== null) return ms <= maxDelayMs;
  return typeof value === 'string' && parseInstant(value) !== null;
}
