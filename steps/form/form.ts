/**
 * `form`: waits until people have filled a form in, or have decided.
 *
 * The handler only says what is waited for. Answers are judged where they arrive (services/forms/), by the rules of
 * core/forms/.
 */
import { userKey } from '../../core/forms/decisions.ts';
import type { Json, JsonObject } from '../../core/json/json.ts';
import type { KnownParams, ParamFault } from '../../core/step-type.ts';
import { ADDRESS_ACCEPTED, parseAddress } from '../email/address.ts';
import { checkedUrl } from '../http/target.ts';
import { durationOf, durationSchema, faultsOf, knownDuration } from '../measure.ts';
import { Parked, StepFailure, type StepType } from '../step-type.ts';

interface FormParams {
  title?: string;
  description?: string;
  schema?: Json;
  assignees?: string[];
  quorum?: { approve: number; reject?: number };
  noSelfApproval?: boolean;
  reminder?: { after: number | string; every?: number | string; url?: string; email?: string };
  timeout?: number | string;
}

const MAX_DECISIONS = 100;
const LEAST_PAUSE_MS = 100;
const COUNT = { type: 'integer', minimum: 1, maximum: MAX_DECISIONS };

const schema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    title: { type: 'string', maxLength: 500, description: 'Default: the key of the step.' },
    description: { type: 'string', maxLength: 10_000 },
    schema: {
      description: 'The JSON Schema of the output.',
      anyOf: [{ type: 'object' }, { type: 'boolean' }],
    },
    assignees: {
      type: 'array',
      maxItems: 100,
      items: { type: 'string', minLength: 1, maxLength: 200 },
      description: 'Who may answer: ids of users, and role:<name>; default: everybody.',
    },
    quorum: {
      type: 'object',
      additionalProperties: false,
      required: ['approve'],
      description: 'How many users must approve, and how many reject, for the form to end.',
      properties: { approve: COUNT, reject: { ...COUNT, default: 1 } },
    },
    noSelfApproval: {
      type: 'boolean',
      default: false,
      description: 'Whether the user who started the execution may not answer.',
    },
    reminder: {
      type: 'object',
      additionalProperties: false,
      required: ['after'],
      oneOf: [
        { required: ['url'], properties: { url: true } },
        { required: ['email'], properties: { email: true } },
      ],
      properties: {
        after: durationSchema('The time until the reminder.', LEAST_PAUSE_MS),
        every: durationSchema('The time until each further one; default: there is one.', LEAST_PAUSE_MS),
        url: { type: 'string', minLength: 1, description: 'It is called with POST.' },
        email: { type: 'string', minLength: 3, description: 'It gets a mail.' },
      },
    },
    timeout: durationSchema("How long the step waits; it is the step's `timeout`.", 1),
  },
};

export const form: StepType<FormParams> = {
  type: 'form',
  summary: 'Waits until people have filled a form in, or have decided.',
  readsInputs: () => false,
  waitsFor: 'form',
  deferred: ['/schema'],
  schemaIn: 'schema',
  timeoutIn: 'timeout',
  schema,
  review: reviewForm,
  run({ params, step }) {
    const { title = step.key, description = null, assignees = [], quorum, noSelfApproval = false } = params;
    return new Parked(null, null, {
      kind: 'form',
      title,
      description,
      assignees: [...new Set(assignees.map(userKey))],
      quorum: quorum === undefined ? null : { approve: quorum.approve, reject: quorum.reject ?? 1 },
      noSelfApproval,
      decisions: [],
      reminder: params.reminder === undefined ? null : readReminder(params.reminder),
    });
  },
};

function readReminder({ after, every, url, email }: NonNullable<FormParams['reminder']>): JsonObject {
  checkReceiver(url, email);
  return {
    after_ms: durationOf(after, 'reminder.after', LEAST_PAUSE_MS),
    every_ms: every === undefined ? null : durationOf(every, 'reminder.every', LEAST_PAUSE_MS),
    url: url ?? null,
    email: email ?? null,
  };
}

function checkReceiver(url: string | undefined, email: string | undefined): void {
  if (url !== undefined) checkUrl(url);
  if (email !== undefined && parseAddress(email) === null)
    throw invalid(`reminder.email takes ${ADDRESS_ACCEPTED}`);
}

function checkUrl(url: string): void {
  try {
    checkedUrl(url);
  } catch (error) {
    throw invalid(`reminder.url cannot be called: ${(error as Error).message}`);
  }
}

function reviewForm({ reminder, quorum, assignees }: KnownParams): ParamFault[] {
  const { after, every, url, email } = (reminder ?? {}) as Partial<NonNullable<FormParams['reminder']>>;
  return faultsOf({
    'reminder/after': () => knownDuration(after, 'reminder.after', LEAST_PAUSE_MS),
    'reminder/every': () => knownDuration(every, 'reminder.every', LEAST_PAUSE_MS),
    reminder: () => checkReceiver(url, email),
    quorum: () => checkQuorum(quorum as Partial<FormParams['quorum']>, assignees as FormParams['assignees']),
  });
}

/** Roles may have any number of users. */
function checkQuorum(
  quorum: Partial<FormParams['quorum']>,
  assignees: (string | undefined)[] | undefined,
): void {
  if (quorum?.approve === undefined || assignees === undefined || assignees.length === 0) return;
  if (assignees.some((one) => one === undefined || one.startsWith('role:'))) return;
  const users = new Set((assignees as string[]).map(userKey)).size;
  if (users >= quorum.approve) return;
  throw invalid(`quorum asks for ${quorum.approve} approvals, and only ${users} may approve`);
}

function invalid(message: string): StepFailure {
  return new StepFailure('invalid_params', message);
}
