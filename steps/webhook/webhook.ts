/**
 * `webhook`: waits for one HTTP request to a URL of its own, and gives the request.
 *
 * The handler only says what is waited for: the answer to the request is fixed here. The request itself is received by
 * the API (services/hooks/), which alone looks at `signature`: a secret is in no row.
 */
import { hookSignalName } from '../../core/hooks/kept-request.ts';
import { isObject, type Json, type JsonObject } from '../../core/json/json.ts';
import { SIGNATURE_SCHEMES } from '../../core/signature/signature.ts';
import type { KnownParams, ParamFault } from '../../core/step-type.ts';
import { checkHeader } from '../http/target.ts';
import { durationSchema, faultsOf } from '../measure.ts';
import { Parked, StepFailure, type StepType } from '../step-type.ts';
import { checkSecret } from './signature-secret.ts';

export const HOOK_METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;
export const DEFAULT_HOOK_METHODS: readonly string[] = ['POST', 'PUT', 'PATCH'];

export interface HookResponse {
  status?: number;
  headers?: Record<string, string | number | boolean>;
  body?: Json;
}

interface WebhookParams {
  timeout?: number | string;
  methods?: string[];
  response?: HookResponse;
  signature?: JsonObject;
}

const MAX_RESPONSE_LENGTH = 64 * 1024;
/** They belong to the connection, or would change what a browser does with other pages of the engine. */
const REFUSED_HEADERS =
  /^(content-length|transfer-encoding|set-cookie|content-security-policy|access-control-.*)$/;

const schema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    timeout: durationSchema("How long the step waits; it is the step's `timeout`.", 1),
    methods: {
      type: 'array',
      minItems: 1,
      uniqueItems: true,
      items: { enum: [...HOOK_METHODS] },
      default: [...DEFAULT_HOOK_METHODS],
      description: 'The methods that the request may have.',
    },
    response: {
      type: 'object',
      additionalProperties: false,
      description:
        'The answer to the request, fixed when the step begins to wait; default: 202 without a body.',
      properties: {
        status: { type: 'integer', minimum: 200, maximum: 599, default: 202 },
        headers: {
          type: 'object',
          additionalProperties: { anyOf: [{ type: 'string' }, { type: 'number' }, { type: 'boolean' }] },
        },
        body: { description: 'Text is sent as it is, null is no body, anything else is sent as JSON.' },
      },
    },
    signature: {
      type: 'object',
      additionalProperties: false,
      required: ['scheme', 'secret'],
      description: 'The signature that the request must have. Its expressions may read `secrets` alone.',
      properties: {
        scheme: { enum: [...SIGNATURE_SCHEMES] },
        secret: { type: 'string', minLength: 1, maxLength: 1_000 },
      },
    },
  },
};

/** @param publicUrl EXECUTION_ENGINE_PUBLIC_URL */
export function createWebhook(publicUrl: string | null): StepType<WebhookParams> {
  return {
    type: 'webhook',
    summary: 'Waits for one HTTP request to a URL of its own.',
    readsInputs: () => false,
    waitsFor: 'webhook',
    timeoutIn: 'timeout',
    deferred: ['/signature'],
    missingSettings: () => (publicUrl === null ? ['EXECUTION_ENGINE_PUBLIC_URL'] : []),
    schema,
    review: reviewWebhook,
    run({ params: { methods = [...DEFAULT_HOOK_METHODS], response = {} }, execution, step }) {
      if (publicUrl === null) {
        const message = 'The step has no URL: set EXECUTION_ENGINE_PUBLIC_URL and start the engine again.';
        throw new StepFailure('not_configured', message);
      }
      checkResponse(response);
      const name = hookSignalName(execution.id, step.key);
      return new Parked(null, null, { kind: 'webhook', name, methods, response: response as JsonObject });
    },
  };
}

function reviewWebhook({ response }: KnownParams, written: JsonObject): ParamFault[] {
  const { signature } = written;
  return faultsOf({
    response: () => checkResponse((response ?? {}) as HookResponse),
    'signature/secret': () => isObject(signature) && checkSecret(signature.secret),
  });
}

/** Throws an Error that says what cannot be sent. */
function checkResponse(response: HookResponse): void {
  for (const [name, value] of Object.entries(response.headers ?? {})) {
    if (REFUSED_HEADERS.test(name.toLowerCase())) throw refused(`the header ${name} cannot be given`);
    if (value !== undefined) checkSendable(name, String(value));
  }
  const { length } = JSON.stringify(response);
  if (length > MAX_RESPONSE_LENGTH)
    throw refused(`it has ${length} characters as JSON: up to ${MAX_RESPONSE_LENGTH} are accepted`);
}

function checkSendable(name: string, value: string): void {
  try {
    checkHeader(name, [value]);
  } catch (error) {
    throw refused((error as Error).message);
  }
}

function refused(what: string): StepFailure {
  return new StepFailure('invalid_params', `response cannot be sent: ${what}`);
}
