import { expect, test } from 'bun:test';
import type { Event } from '../core/event.ts';
import { OutputStore } from '../payload/output-store.ts';
import { Parked, Routed, StepFailure } from '../steps/step-type.ts';
import { Attempt } from './attempt.ts';
import { failedBy, failedByGuard } from './failure.ts';
import { type Outcome, outcomeOf, proceed, type Staged } from './outcome.ts';
import { type EventSource, eventOf, failEvent } from './outcome-event.ts';

const SECRET = 'a long secret';
const CLAIM = { attempt: 1, owner: 'engine' };
const OF_STEP = { slot: 3, claim: CLAIM };
const MASKED = '***';
const store = new OutputStore({ maxDepth: 10, maxBytes: 1_000 }, [SECRET]);
const source: EventSource = {
  store,
  msUntil: async () => -5,
  prepareChild: () => Promise.reject(new Error('no child is started here')),
};

function attempt(): Attempt {
  return new Attempt(
    { id: 'e', template: 't', version: 1 },
    { view: 'e', slot: 3 },
    'step',
    CLAIM,
    0,
    () => {},
  );
}

async function posted(outcome: Outcome): Promise<Event> {
  const of = attempt();
  return outcome.kind === 'failed'
    ? failEvent(outcome, of, store)
    : await eventOf(outcome, of, source, 'form');
}

/** The value that a handler returns, and the event it becomes. */
const RETURNED: [unknown, object][] = [
  [undefined, { type: 'complete', output: { json: 'null' }, routes: null }],
  [{ a: SECRET }, { type: 'complete', output: { json: `{"a":"${MASKED}"}` }, routes: null }],
  [new Routed(1, [SECRET]), { type: 'complete', output: { json: '1' }, routes: [MASKED] }],
  [new Parked({ forMs: 7 }, SECRET), { type: 'park', forMs: 7, state: MASKED, waitingFor: null }],
  [new Parked({ until: '2030-01-01T00:00:00Z' }), { type: 'park', forMs: 0, state: null }],
  [
    new Parked(null, null, { kind: 'form', title: SECRET }),
    { type: 'park', forMs: null, waitingFor: { kind: 'form', title: MASKED } },
  ],
];

test.each(RETURNED)('a handler that returns %p posts its event', async (result, event) => {
  expect(await posted(outcomeOf(result))).toMatchObject({ ...OF_STEP, ...event });
});

test('what is neither checked nor stored as it is fails when its event is made', async () => {
  const bad = [
    1n,
    new Routed(1, 'no list' as never),
    new Parked({ forMs: Number.NaN }),
    new Parked({} as never),
    new Parked(null),
    new Parked(null, null, { kind: 'signal', name: 'not declared' }),
  ];
  for (const result of bad) expect(posted(outcomeOf(result))).rejects.toThrow();
});

test('a failure is retryable as its error says, and never without an attempt', async () => {
  const error = new StepFailure('mine', SECRET, { retryable: true, retryAfterMs: 9 });
  const event = { ...OF_STEP, type: 'fail', error: { code: 'mine', message: MASKED }, retryAfterMs: 9 };
  expect(await posted(failedBy(error, attempt()))).toMatchObject({ ...event, begun: true, retryable: true });
  const guard = { ...event, begun: false, retryable: false };
  expect(await posted(failedByGuard(error, attempt()))).toMatchObject(guard);
});

test('a large output and large details of an error are masked in slices, and those that cannot be stored are left out', async () => {
  const large = [SECRET, ...Array.from({ length: 10_000 }, (_, at) => at)];
  const roomy = new OutputStore({ maxDepth: 10, maxBytes: 1_000_000 }, [SECRET]);
  const masked = JSON.stringify(large).replace(SECRET, MASKED);
  const output = eventOf(outcomeOf(large), attempt(), { ...source, store: roomy }, undefined);
  expect(output).toBeInstanceOf(Promise);
  expect(await output).toMatchObject({ ...OF_STEP, type: 'complete', output: { json: masked } });
  const failed = failedBy(new StepFailure('mine', 'x', { details: large }), attempt());
  const details = await failEvent(failed, attempt(), roomy);
  expect(details).toMatchObject({ type: 'fail', error: { details: JSON.parse(masked) } });
  expect(await failEvent(failed, attempt(), store)).toMatchObject({ error: { code: 'mine', details: null } });
  expect(eventOf(outcomeOf(large), attempt(), source, undefined)).rejects.toThrow('cannot be stored');
});

test('an error thrown by an attempt that was told to end is the reason it was given', () => {
  const stopped = attempt();
  stopped.stop();
  expect(failedBy(new Error('aborted'), stopped).failure.code).toBe('stopped');
  expect(failedBy(new StepFailure('mine', ''), stopped).failure.code).toBe('mine');
});

test.each(['rescue', 'displace', 'release'] as const)('a lost attempt posts %s', async (event) => {
  expect(await posted({ kind: 'lost', event })).toEqual({ ...OF_STEP, type: event });
});

test('stages follow each other at once until one must wait, and an outcome skips those that are left', async () => {
  const ran: string[] = [];
  const stage =
    <R>(name: string, result: Staged<R>) =>
    () => {
      ran.push(name);
      return result;
    };
  const skipped: Outcome = { kind: 'skipped' };
  const work = { made: 'work' };
  expect(proceed(proceed(work, stage('first', work)), stage('second', skipped))).toBe(skipped);
  expect(proceed(proceed(work, stage('third', skipped)), stage('never', work))).toBe(skipped);
  const waits = proceed(work, stage('fourth', Promise.resolve(work)));
  expect(await proceed(proceed(waits, stage('fifth', skipped)), stage('never', work))).toBe(skipped);
  expect(ran).toEqual(['first', 'second', 'third', 'fourth', 'fifth']);
});
