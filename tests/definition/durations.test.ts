/** Durations of a definition that contradict each other. */
import { expect, test } from 'bun:test';
import { errorsOf, read, warningsOf } from './reading.ts';

const HTTP = { type: 'http', with: { url: 'https://a.example' } };
const of = (step: object, timeout?: string) =>
  read({ name: 'a', ...(timeout === undefined ? {} : { timeout }), steps: { s: step } });

test.each([
  [
    'a delay as long as the timeout of its step',
    { type: 'delay', with: { for: '30s' }, timeout: '30s' },
    undefined,
    '/with/for',
  ],
  [
    'a delay in milliseconds',
    { type: 'delay', with: { for: 60_000 }, timeout: '30s' },
    undefined,
    '/with/for',
  ],
  [
    'a delay as long as the whole execution may take',
    { type: 'delay', with: { for: '1h' } },
    '60m',
    '/with/for',
  ],
  [
    'a call with more time than its step has',
    { ...HTTP, with: { ...HTTP.with, timeout: '1m' }, timeout: '30s' },
    undefined,
    '/with/timeout',
  ],
  [
    'a script with more time than its step has',
    { type: 'script', with: { code: 'return 1', timeout: '11s' }, timeout: '10s' },
    undefined,
    '/with/timeout',
  ],
  [
    'a call with more time than the execution has',
    { ...HTTP, with: { ...HTTP.with, timeout: '2m' } },
    '1m',
    '/with/timeout',
  ],
  ['a step with more time than the execution has', { ...HTTP, timeout: '2h' }, '1h', '/timeout'],
  [
    'a first retry after the end of the execution',
    { ...HTTP, retry: { limit: 1, delay: '1h', jitter: false } },
    '1h',
    '/retry',
  ],
  [
    'fixed delays that are too long together',
    { ...HTTP, retry: { limit: 10, delay: '10s', backoff: 'fixed', jitter: false } },
    '90s',
    '/retry',
  ],
  ['delays that grow beyond the execution', { ...HTTP, retry: { limit: 12, delay: '1s' } }, '30m', '/retry'],
  [
    'many retries at the largest delay',
    { ...HTTP, retry: { limit: 100_000, delay: '1s', maxDelay: '10s' } },
    '1d',
    '/retry',
  ],
  [
    'a largest delay below the first one',
    { ...HTTP, retry: { limit: 2, delay: '10s', maxDelay: '5s' } },
    undefined,
    '/retry/maxDelay',
  ],
])('%s is warned of', (_, step, timeout, place) => {
  const found = of(step, timeout);
  expect(errorsOf(found)).toEqual([]);
  expect(warningsOf(found)).toEqual([`contradicting_durations /steps/s${place}`]);
  expect(found.warnings[0]!.message).toMatch(/\d+ ms .*(Give|Lower) /);
});

test.each([
  ['a delay shorter than its timeouts', { type: 'delay', with: { for: '29s' }, timeout: '30s' }, '1m'],
  [
    'a delay that an expression gives',
    { type: 'delay', with: { for: '${{ input.wait }}' }, timeout: '1s' },
    '1m',
  ],
  [
    'a delay until an instant',
    { type: 'delay', with: { until: '2100-01-01T00:00:00Z' }, timeout: '1s' },
    '1m',
  ],
  ['equal limits', { ...HTTP, with: { ...HTTP.with, timeout: '30s' }, timeout: '30s' }, '30s'],
  ['retries that jitter may bring in time', { ...HTTP, retry: { limit: 1, delay: '1h' } }, '1h'],
  ['no retries, whatever their delay', { ...HTTP, retry: { limit: 0, delay: '2h' } }, '1h'],
  ['a largest delay below the default', { ...HTTP, retry: { limit: 3, maxDelay: '500ms' } }, '1h'],
])('%s: nothing to say', (_, step, timeout) => {
  const found = of(step, timeout);
  expect([errorsOf(found), warningsOf(found)]).toEqual([[], []]);
});

test.each([
  ['a delay with both', { type: 'delay', with: { for: '1s', until: '2100-01-01' } }, 'invalid_params'],
  ['a delay with neither', { type: 'delay', with: {} }, 'invalid_params'],
  ['a delay without parameters', { type: 'delay' }, 'invalid_params'],
])('%s is refused, and the message names both', (_, step, code) => {
  const found = of(step);
  expect(errorsOf(found)).toEqual([`${code} /steps/s/with`]);
  expect(found.errors[0]!.message).toMatch(/one of for, until/);
});
