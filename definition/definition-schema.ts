/**
 * The definition format as a JSON Schema 2020-12, for editors: completion, hover texts and red lines while typing.
 *
 * The engine itself does not use it: definition/definition.ts checks more, with better messages. The schema accepts
 * every definition that the engine accepts, and others too (a cycle, an unknown step).
 */

import { isObject, type JsonObject, type JsonSchema } from '../core/json/json.ts';
import type { StepTypeInfo, StepTypeRegistry } from '../core/step-type.ts';
import { DURATION_EXAMPLES, DURATION_PATTERN } from '../core/time/duration.ts';
import { type DEFINITION_FIELDS, TEMPLATE_NAME } from './definition.ts';
import { EDGE_ON } from './needs.ts';
import { DEFAULT_RETRY, MAX_RETRIES, MAX_SHARED } from './policies.ts';
import { EXPRESSION_SCHEMA, looseSchema } from './schema/loose-schema.ts';
import { PRIORITY_RANGE, STEP_KEY } from './step.ts';

export const DEFINITION_SCHEMA_ID = 'urn:execution-engine:definition:1';

/** The schema of definitions that use these step types, with a branch for the parameters of each. */
export function definitionSchema(stepTypes: StepTypeRegistry): JsonObject {
  const types = [...stepTypes.values()].sort((a, b) => (a.type < b.type ? -1 : 1));
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: DEFINITION_SCHEMA_ID,
    title: 'Workflow definition',
    type: 'object',
    required: ['name', 'steps'],
    additionalProperties: false,
    properties: header(),
    $defs: {
      ...PARTS,
      step: step(types),
      compensation: compensation(types),
      ...Object.fromEntries(types.map((type) => [`with-${type.type}`, params(type)])),
    },
  };
}

function header(): Record<(typeof DEFINITION_FIELDS)[number], JsonSchema> {
  return {
    $schema: { type: 'string', description: 'For editors; means nothing to the engine.' },
    name: {
      type: 'string',
      pattern: TEMPLATE_NAME.source,
      description: 'Publishing the same name again makes its next version.',
    },
    description: { type: 'string' },
    input: {
      type: ['object', 'boolean'],
      description: 'JSON Schema 2020-12 of the inputs; anything when left out.',
    },
    timeout: { $ref: '#/$defs/duration', description: 'Of the whole execution, from its start.' },
    onFailure: {
      enum: ['stop', 'continue'],
      default: 'stop',
      description:
        'What an unhandled failure does: stop everything, or let the other branches run to their end.',
    },
    onExhausted: {
      enum: ['fail', 'pause'],
      default: 'fail',
      description:
        'What a step does whose failure nothing handles, once its retries are used up: fail, or pause the execution until somebody decides.',
    },
    output: {
      description: 'The outputs of the execution; by default { <leaf key>: output }. May hold expressions.',
    },
    steps: { $ref: '#/$defs/steps' },
  };
}

function step(types: readonly StepTypeInfo[]): JsonObject {
  return {
    type: 'object',
    required: ['type'],
    additionalProperties: false,
    properties: {
      type: { oneOf: types.map(({ type, summary }) => ({ const: type, description: summary ?? '' })) },
      needs: {
        description: 'Steps that come first; without it the step is a root.',
        anyOf: [{ $ref: '#/$defs/need' }, { type: 'array', items: { $ref: '#/$defs/need' } }],
      },
      join: { $ref: '#/$defs/join' },
      when: {
        description: 'A guard, evaluated when the step is ready; falsy skips the step.',
        anyOf: [
          { type: 'boolean' },
          {
            type: 'string',
            pattern: '^\\s*\\$\\{\\{[\\s\\S]*\\}\\}\\s*$',
            examples: ['${{ input.total > 100 }}'],
          },
        ],
      },
      with: {
        type: 'object',
        description: "The type's parameters; any text in it may hold ${{ }} expressions.",
      },
      retry: { $ref: '#/$defs/retry' },
      timeout: { $ref: '#/$defs/duration', description: 'Of each attempt, time parked included.' },
      heartbeatTimeout: {
        $ref: '#/$defs/duration',
        description:
          'The longest silence of a handler, from its beginning and between two heartbeats; for step types of your own.',
      },
      priority: {
        type: 'integer',
        minimum: PRIORITY_RANGE.min,
        maximum: PRIORITY_RANGE.max,
        default: 0,
        description: 'Higher starts first, among ready steps of the same depth.',
      },
      concurrency: { $ref: '#/$defs/concurrency' },
      rateLimit: { $ref: '#/$defs/rateLimit' },
      compensateWith: { $ref: '#/$defs/compensation' },
      onExhausted: {
        enum: ['fail', 'pause'],
        description: 'What the step does when its retries are used up; default: what the definition says.',
      },
    },
    allOf: types.map(branch),
  };
}

function compensation(types: readonly StepTypeInfo[]): JsonObject {
  const allowed = types.filter(({ holds = [] }) => holds.length === 0);
  return {
    type: 'object',
    required: ['type'],
    additionalProperties: false,
    description: 'Undoes the step when it has completed and its execution fails, times out or is stopped.',
    properties: {
      type: { enum: allowed.map(({ type }) => type) },
      with: {
        type: 'object',
        description:
          "The type's parameters; expressions see the scope of the step, and its output as `compensates`.",
      },
      retry: { $ref: '#/$defs/retry' },
      timeout: { $ref: '#/$defs/duration', description: 'Of each attempt, time parked included.' },
    },
    allOf: allowed.map((type) => branch({ ...type, sendsNoHeartbeats: false })),
  };
}

/** The parameters of one type, and the fields that it does not use; `with` is required when a parameter is. */
function branch({ type, schema, sendsNoHeartbeats }: StepTypeInfo): JsonObject {
  const required = isObject(schema) && Array.isArray(schema.required) && schema.required.length > 0;
  const fits = {
    properties: {
      with: { $ref: `#/$defs/with-${type}` },
      ...(sendsNoHeartbeats === true ? { heartbeatTimeout: false } : {}),
    },
    ...(required ? { required: ['with'] } : {}),
  };
  // biome-ignore lint/suspicious/noThenProperty: the keyword of JSON Schema
  return { if: { properties: { type: { const: type } }, required: ['type'] }, then: fits };
}

function params({ type, schema, holds = [] }: StepTypeInfo): JsonSchema {
  const full = holds.reduce((made, { steps }) => withSteps(made, steps.split('/').slice(1)), schema);
  const loose = looseSchema(full, orExpression);
  if (!isObject(loose)) return loose;
  // References of the schema into itself stay references into itself.
  const refers = JSON.stringify(schema).includes('"$ref"') || Object.hasOwn(loose, '$id');
  return refers ? { $id: `${DEFINITION_SCHEMA_ID}:${encodeURIComponent(type)}`, ...loose } : loose;
}

const STEPS_INSIDE: JsonObject = { $ref: `${DEFINITION_SCHEMA_ID}#/$defs/steps` };

/** Describes what is at a pattern as steps. */
function withSteps(schema: JsonSchema, [segment, ...below]: readonly string[]): JsonSchema {
  if (segment === undefined) return STEPS_INSIDE;
  if (!isObject(schema)) return schema;
  if (segment === '*') return { ...schema, items: withSteps((schema.items ?? true) as JsonSchema, below) };
  const properties = (schema.properties ?? {}) as Record<string, JsonSchema>;
  const changed = { ...properties, [segment]: withSteps(properties[segment] ?? true, below) };
  return { ...schema, properties: changed };
}

const ANNOTATIONS = ['title', 'description', 'default', 'examples', 'deprecated'];

/** Annotations stay outside, where editors look for them; a schema that any text fits already allows an expression. */
function orExpression(schema: JsonSchema): JsonSchema {
  if (!isObject(schema) || schema.$ref === STEPS_INSIDE.$ref) return schema;
  const entries = Object.entries(schema);
  const rules = entries.filter(([keyword]) => !ANNOTATIONS.includes(keyword));
  if (rules.every(([keyword, value]) => keyword === 'type' && value === 'string')) return schema;
  const annotations = entries.filter(([keyword]) => ANNOTATIONS.includes(keyword));
  return { ...Object.fromEntries(annotations), anyOf: [Object.fromEntries(rules), EXPRESSION_SCHEMA] };
}

const SHARED_LIMIT = { type: 'integer', minimum: 1, maximum: MAX_SHARED };
const SHARED_KEY = {
  type: 'string',
  minLength: 1,
  description: 'The name the steps share; may hold expressions.',
};

const PARTS: JsonObject = {
  steps: {
    type: 'object',
    minProperties: 1,
    propertyNames: { pattern: STEP_KEY.source, not: { const: '__proto__' } },
    additionalProperties: { $ref: '#/$defs/step' },
  },
  duration: {
    anyOf: [
      {
        type: 'string',
        pattern: DURATION_PATTERN,
        examples: DURATION_EXAMPLES,
      },
      { type: 'integer', minimum: 0, description: 'Milliseconds.' },
    ],
  },
  stepKey: { type: 'string', pattern: STEP_KEY.source },
  need: {
    anyOf: [
      { $ref: '#/$defs/stepKey' },
      {
        type: 'object',
        required: ['step'],
        additionalProperties: false,
        properties: {
          step: { $ref: '#/$defs/stepKey' },
          on: {
            enum: [...EDGE_ON],
            default: 'success',
            description: 'The end of that step which makes the edge live.',
          },
          route: {
            description: 'Only with "on: success": the routes of that step which make the edge live.',
            anyOf: [{ type: 'string' }, { type: 'array', minItems: 1, items: { type: 'string' } }],
          },
        },
      },
    ],
  },
  join: {
    description: 'How many live edges start the step.',
    default: 'all',
    anyOf: [
      { enum: ['all', 'any'] },
      {
        type: 'object',
        required: ['atLeast'],
        additionalProperties: false,
        properties: {
          atLeast: { type: 'integer', minimum: 1 },
          cancelLosers: {
            type: 'boolean',
            default: false,
            description: 'Cancels the steps before it that can serve nothing else any more, when it starts.',
          },
        },
      },
    ],
  },
  retry: {
    type: 'object',
    additionalProperties: false,
    properties: {
      limit: {
        type: 'integer',
        minimum: 0,
        maximum: MAX_RETRIES,
        default: DEFAULT_RETRY.limit,
        description: 'Retries after the first attempt.',
      },
      delay: { $ref: '#/$defs/duration', default: '1s' },
      backoff: { enum: ['fixed', 'exponential'], default: DEFAULT_RETRY.backoff },
      maxDelay: { $ref: '#/$defs/duration', description: "Cap of the delay and of a server's Retry-After." },
      jitter: {
        type: 'boolean',
        default: DEFAULT_RETRY.jitter,
        description: 'Spreads the delay over its upper half.',
      },
    },
  },
  concurrency: {
    type: 'object',
    description: 'At most `limit` running steps share the key, over all engines.',
    required: ['key', 'limit'],
    additionalProperties: false,
    properties: { key: SHARED_KEY, limit: SHARED_LIMIT },
  },
  rateLimit: {
    type: 'object',
    description: 'At most `limit` starts in a window of `per`, for each key.',
    required: ['key', 'limit', 'per'],
    additionalProperties: false,
    properties: { key: SHARED_KEY, limit: SHARED_LIMIT, per: { $ref: '#/$defs/duration' } },
  },
};
