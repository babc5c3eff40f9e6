import { describe, expect, test } from 'bun:test';
import { buildTemplate } from '../tests/support/core/graphs.ts';
import { Play } from '../tests/support/core/play.ts';
import type { Event, WaitingFor } from './event.ts';
import { jobsOf } from './jobs.ts';
import type { Plan } from './plan.ts';

const REFUSAL = { error: { code: 'rejected', message: 'no', details: null }, retryable: false };

/** A step that waits for an answer, then another one. */
function waiting({
  retries = 0,
  timeoutMs = null as number | null,
  forMs = null as number | null,
} = {}): Play {
  const play = Play.begun(
    buildTemplate({ a: { retry: { limit: retries, delayMs: 0 } }, b: { needs: ['a'] } }),
  );
  park(play, { timeoutMs, forMs });
  return play;
}

function park(play: Play, { timeoutMs = null as number | null, forMs = null as number | null } = {}): Plan {
  play.claim('a');
  const waitingFor = { kind: 'form', title: 'May we?' } as const;
  return play.send({
    ...(play.parked('a', timeoutMs) as Extract<Event, { type: 'park' }>),
    forMs,
    waitingFor,
  });
}

const jobs = (plan: Plan) =>
  jobsOf(plan, { start: null, hasCallback: false, stopGraceMs: 0, isKept: () => false }, () => 'new');

describe('an answer', () => {
  test('completes the step that waits for it, and what follows is ready', () => {
    const play = waiting();
    const plan = play.send(play.answered('a', { output: { json: '{"yes":true}' } }));
    expect(play.steps).toEqual({ a: 'completed', b: 'queued' });
    const change = plan.steps.get(play.at('a'))!;
    expect(change).toMatchObject({ output: { json: '{"yes":true}' }, answerId: 'answer' });
    expect(change.from).toMatchObject({ status: 'waiting', attempt: 1, owner: null });
  });

  test('that fails the step for good fails it with its error', () => {
    const play = waiting({ retries: 3 });
    play.send(play.answered('a', REFUSAL));
    expect(play.steps.a).toBe('failed');
    expect(play.view.failure).toMatchObject({ code: 'rejected', step: 'a' });
  });

  test('that may be tried again uses a retry', () => {
    const play = waiting({ retries: 1 });
    play.send(play.answered('a', { ...REFUSAL, retryable: true }));
    expect(play.state('a')).toMatchObject({ status: 'retrying', retries: 1, parked: false });
  });

  test('takes the timer and the deadline of the wait with it', () => {
    const play = waiting({ timeoutMs: 5_000, forMs: 1_000 });
    const { remove } = jobs(play.send(play.answered('a')));
    const { id } = play.state('a');
    expect(remove).toHaveLength(2);
    expect(remove).toContainEqual({ queue: 'WorkflowExecutionQueue', id });
  });

  test('in part leaves the step waiting for what is left, and its timeout as it is', () => {
    const play = waiting({ timeoutMs: 5_000 });
    const left = { kind: 'form', decisions: ['ada'] } satisfies WaitingFor;
    const plan = play.send(play.answered('a', { waitingFor: left }));
    expect(play.state('a')).toMatchObject({ status: 'waiting', parked: true, hasDeadline: true, attempt: 1 });
    expect(plan.steps.get(play.at('a'))).toMatchObject({ waitingFor: left, answerId: 'answer' });
    expect(jobs(plan)).toEqual({ add: [], remove: [] });
    play.send(play.answered('a'));
    expect(play.steps).toEqual({ a: 'completed', b: 'queued' });
  });

  test('in part makes every other answer late that did not know of it', () => {
    const play = waiting();
    const answers = [
      play.answered('a', { waitingFor: { kind: 'form' } }),
      play.answered('a', { waitingFor: { kind: 'form' } }),
      play.answered('a'),
    ];
    expect(play.send(...answers).late).toEqual(answers.slice(1));
    expect(play.steps.a).toBe('waiting');
  });

  test('in part is forgotten when the execution is cancelled in the same commit', () => {
    const play = waiting();
    play.send(play.answered('a', { waitingFor: { kind: 'form' } }), { type: 'cancel', reason: null });
    expect(play.steps.a).toBe('cancelled');
  });

  test('counts once: the second one to the same wait is late', () => {
    const play = waiting();
    const [first, second] = [play.answered('a'), play.answered('a', REFUSAL)];
    expect(play.send(first, second).late).toEqual([second]);
    expect(play.steps.a).toBe('completed');
  });

  test('to an earlier wait of the same attempt is late', () => {
    const play = waiting({ forMs: 1_000 });
    const old = play.answered('a');
    play.send(play.woken('a'));
    park(play);
    expect(play.state('a').attempt).toBe(1);
    expect(play.send(old).late).toEqual([old]);
    expect(play.steps.a).toBe('waiting');
  });

  test('to an earlier attempt is late', () => {
    const play = waiting({ retries: 1, timeoutMs: 1_000 });
    const old = play.answered('a');
    play.send(play.timedOut('a'));
    play.send(play.woken('a'));
    park(play);
    expect(play.send(old).late).toEqual([old]);
    expect(play.steps.a).toBe('waiting');
  });

  test.each(['stop', 'cancel'] as const)('after a %s is late', (type) => {
    const play = waiting();
    const late = play.answered('a');
    play.send({ type, reason: null });
    expect(play.send(late).late).toEqual([late]);
    expect(play.steps.a).toBe('cancelled');
  });

  test('to a step that runs, is queued or waits for its retry is late', () => {
    const play = Play.begun(buildTemplate({ a: { retry: { limit: 1, delayMs: 0 } } }));
    const isLate = () => expect(play.send(play.answered('a')).late).toHaveLength(1);
    isLate();
    play.claim('a');
    isLate();
    play.send(play.failed('a', { retryable: true }));
    isLate();
  });
});
