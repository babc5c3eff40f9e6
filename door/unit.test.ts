import { expect, test } from 'bun:test';
import type { Event } from '../core/event.ts';
import type { Json } from '../core/json/json.ts';
import { rememberText } from '../core/json/parse-in-pieces.ts';
import { LARGE_PAYLOAD, payloadLength } from './unit.ts';

const claim = { attempt: 1, owner: 'engine' };
const large = Array.from({ length: 50_000 }, (_, at) => at);
rememberText(large, JSON.stringify(large));
const failed = (details: Json) =>
  ({ type: 'fail', slot: 0, claim, error: { code: 'c', message: 'm', details } }) as Event;
const parked = (state: Json) => ({ type: 'park', slot: 0, claim, forMs: 1, state }) as Event;

test.each([
  [
    'an output',
    { type: 'complete', slot: 0, claim, output: { json: JSON.stringify(large) }, routes: null } as Event,
  ],
  ['the details of an error', failed(large)],
  ['a text as the details of an error', failed('x'.repeat(LARGE_PAYLOAD))],
  ['the state of a parked step', parked(large)],
])('%s counts as data of a commit', (_, event) => {
  expect(payloadLength(event)).toBeGreaterThanOrEqual(LARGE_PAYLOAD);
});

test.each([failed(null), failed({ a: [1] }), parked(null), { type: 'skip', slot: 0, claim } as Event])(
  'what is short, or no data, counts as nothing: %j',
  (event) => {
    expect(payloadLength(event)).toBe(0);
  },
);
