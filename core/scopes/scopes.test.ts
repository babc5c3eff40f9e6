import { expect, test } from 'bun:test';
import { buildTemplate, type StepOptions } from '../../tests/support/core/graphs.ts';
import { Play } from '../../tests/support/core/play.ts';
import { countStopped } from '../ending.ts';
import type { Event, ScopeFailure } from '../event.ts';
import type { OpenedScope, Plan } from '../plan.ts';

const FAILURE: ScopeFailure = {
  error: { code: 'boom', message: 'It failed.', details: null },
  retryable: false,
};

/** Two steps that hold three scopes each, two of them open. @param others more steps */
function holding(tolerated: number | null, others: Record<string, StepOptions> = {}): Play {
  const play = Play.begun(buildTemplate({ one: {}, two: {}, ...others }));
  play.claim('one', 'two');
  for (const key of ['one', 'two']) {
    const scopes = { count: 3, concurrency: 2, tolerated };
    play.send({ ...play.parked(key), forMs: null, scopes } as Event);
  }
  return play;
}

function openedBy({ scopes }: Plan): readonly OpenedScope[] {
  return scopes?.opened ?? [];
}

function ended(
  play: Play,
  key: string,
  index: number,
  status: 'completed' | 'failed' | 'cancelled' = 'completed',
): Event {
  const failure = status === 'failed' ? FAILURE : null;
  const ends = [{ index, status, failure }];
  return { type: 'scopes_ended', slot: play.at(key), run: 1, ends, random: 0 };
}

test('a step opens as many scopes as may be open, and the next one as soon as one has ended', () => {
  const play = Play.begun(buildTemplate({ one: {} }));
  play.claim('one');
  const scopes = { count: 3, concurrency: 2, tolerated: null };
  const opening = play.send({ ...play.parked('one'), forMs: null, scopes } as Event);
  expect(openedBy(opening).map(({ index }) => index)).toEqual([0, 1]);
  expect(openedBy(play.send(ended(play, 'one', 1))).map(({ index }) => index)).toEqual([2]);
  expect(openedBy(play.send(ended(play, 'one', 0)))).toEqual([]);
  expect(play.steps).toEqual({ one: 'waiting' });
  expect(play.send(ended(play, 'one', 2)).ready).toEqual([play.at('one')]);
});

test('the first failed scope fails its step, in its words, and ends what is open', () => {
  const play = holding(null);
  const plan = play.send(ended(play, 'one', 1, 'failed'));
  expect(plan.end).toMatchObject({ status: 'failed', error: { code: 'boom', step: 'one' } });
  expect([...plan.scopes!.endedBelow]).toEqual([
    [play.at('one'), 'cancel'],
    [play.at('two'), 'cancel'],
  ]);
});

test('failed scopes up to the tolerated number let a step go on; one more fails it with their number', () => {
  const play = holding(1);
  expect(play.send(ended(play, 'one', 0, 'failed')).end).toBeNull();
  const { end } = play.send(ended(play, 'one', 1, 'failed'));
  expect(end?.error).toMatchObject({ code: 'too_many_failures', step: 'one' });
});

test('ends that come together are all counted, also those of a step that another one ends', () => {
  const play = holding(null);
  play.send(ended(play, 'one', 0, 'failed'), ended(play, 'two', 1));
  expect(play.state('one').held).toMatchObject({ open: 0, failed: 1, completed: 0, cancelled: 1 });
  expect(play.state('two').held).toMatchObject({ open: 0, failed: 0, completed: 1, cancelled: 1 });
});

test.each<[string, Event]>([
  ['a cancel', { type: 'cancel', reason: null }],
  ['the end of its grace time', { type: 'stop_overdue' }],
  ['the timeout of the execution', { type: 'time_out' }],
])('a stop and %s in one commit end the scopes of a step once', (_, last) => {
  const play = holding(null);
  const plan = play.send({ type: 'stop', reason: null }, last);
  expect([...plan.scopes!.endedBelow]).toEqual([
    [play.at('one'), 'cancel'],
    [play.at('two'), 'cancel'],
  ]);
  for (const key of ['one', 'two']) expect(play.state(key).held).toMatchObject({ open: 0, cancelled: 2 });
});

test('the failure of a step that leaves its scopes time to end, and a cancel in one commit end them once', () => {
  const play = holding(null, { charge: { undo: { retries: 0 } } });
  play.complete('charge');
  const plan = play.send(ended(play, 'one', 0, 'failed'), { type: 'cancel', reason: null });
  expect([...plan.scopes!.endedBelow]).toEqual([
    [play.at('one'), 'cancel'],
    [play.at('two'), 'cancel'],
  ]);
  expect(play.state('one').held).toMatchObject({ open: 0, failed: 1, cancelled: 1 });
  expect(play.state('two').held).toMatchObject({ open: 0, failed: 0, cancelled: 2 });
});

test('a stop waits for open scopes, and opens none', () => {
  const play = holding(null);
  const slots = [play.at('one'), play.at('two')] as const;
  // Both scopes of `one` and one of `two` had no step that was running.
  const cancelled = new Map([
    [slots[0], 2],
    [slots[1], 1],
  ]);
  const stopped = play.send({ type: 'stop', reason: null });
  countStopped(stopped, cancelled, () => 'none');
  expect(play.steps).toEqual({ one: 'cancelled', two: 'waiting' });
  expect(stopped.end).toBeNull();
  const last = play.send(ended(play, 'two', 0));
  expect(openedBy(last)).toEqual([]);
  expect(play.steps).toEqual({ one: 'cancelled', two: 'cancelled' });
  expect(last.end?.status).toBe('cancelled');
});
