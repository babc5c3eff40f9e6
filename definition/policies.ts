/**
 * The policies of a step: `retry`, `concurrency` and `rateLimit`, with their defaults.
 */

import { isObject } from '../core/json/json.ts';
import type { OnExhausted, RetryPolicy, TemplateStep } from '../core/template.ts';
import {
  type FieldReader,
  fieldOf,
  missing,
  place,
  readBoolean,
  readChoice,
  readDuration,
  readInteger,
  readText,
  refuseUnknownFields,
  wrongType,
} from './fields.ts';

export const RETRY_FIELDS = ['limit', 'delay', 'backoff', 'maxDelay', 'jitter'] as const;
export const CONCURRENCY_FIELDS = ['key', 'limit'] as const;
export const RATE_LIMIT_FIELDS = ['key', 'limit', 'per'] as const;

/** Retries and shared limits above this are a mistake. It fits every integer column. */
export const MAX_RETRIES = 100_000;
export const MAX_SHARED = 1_000_000;

/** A delay that is not given is one second, doubled for each retry and spread by jitter; no cap unless one is given. */
export const DEFAULT_RETRY: RetryPolicy = {
  limit: 0,
  delayMs: 1_000,
  backoff: 'exponential',
  maxDelayMs: null,
  jitter: true,
};

export function readRetry(step: FieldReader): RetryPolicy {
  const reader = section(step, 'retry', RETRY_FIELDS, 'an object such as { limit: 3, delay: 1s }');
  if (reader === null) return DEFAULT_RETRY;
  return {
    limit: readInteger(reader, 'limit', { min: 0, max: MAX_RETRIES }, DEFAULT_RETRY.limit),
    delayMs: readDuration(reader, 'delay', 'allowed') ?? DEFAULT_RETRY.delayMs,
    backoff: readChoice(reader, 'backoff', ['fixed', 'exponential'], DEFAULT_RETRY.backoff),
    maxDelayMs: readDuration(reader, 'maxDelay', 'refused'),
    jitter: readBoolean(reader, 'jitter', DEFAULT_RETRY.jitter),
  };
}

export function readConcurrency(step: FieldReader): TemplateStep['concurrency'] {
  const reader = section(step, 'concurrency', CONCURRENCY_FIELDS, 'an object such as { key: crm, limit: 5 }');
  return reader === null ? null : readShared(reader);
}

export function readRateLimit(step: FieldReader): TemplateStep['rateLimit'] {
  const reader = section(
    step,
    'rateLimit',
    RATE_LIMIT_FIELDS,
    'an object such as { key: crm, limit: 5, per: 1s }',
  );
  if (reader === null) return null;
  const shared = readShared(reader);
  const perMs = readDuration(reader, 'per', 'refused');
  if (fieldOf(reader.fields, 'per') === undefined) missing(reader, 'per', 'the window, such as 1s or 1m');
  return shared === null || perMs === null ? null : { ...shared, perMs };
}

function readShared(reader: FieldReader): { key: string; limit: number } | null {
  const key = readText(reader, 'key');
  if (key === '')
    reader.problems.add(place(reader, 'key'), 'invalid_value', '"key" is empty; give a name to share.');
  if (fieldOf(reader.fields, 'key') === undefined) missing(reader, 'key', 'the name that the steps share');
  const limit = readInteger(reader, 'limit', { min: 1, max: MAX_SHARED }, null);
  if (fieldOf(reader.fields, 'limit') === undefined) missing(reader, 'limit', 'a whole number from 1');
  return key === null || limit === null ? null : { key, limit };
}

function section(
  step: FieldReader,
  name: string,
  allowed: readonly string[],
  wanted: string,
): FieldReader | null {
  const fields = fieldOf(step.fields, name);
  if (fields === undefined) return null;
  if (!isObject(fields)) {
    wrongType(step, name, fields, wanted);
    return null;
  }
  const reader: FieldReader = { fields, pointer: place(step, name), problems: step.problems };
  refuseUnknownFields(reader, allowed);
  return reader;
}

/** Reads `onExhausted`; nothing when it is not given. */
export function onExhausted(reader: FieldReader): { onExhausted?: OnExhausted } {
  if (fieldOf(reader.fields, 'onExhausted') === undefined) return {};
  return { onExhausted: readChoice(reader, 'onExhausted', ['fail', 'pause'], 'fail') };
}
