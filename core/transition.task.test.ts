import { expect, test } from 'bun:test';
import { buildTemplate } from '../tests/support/core/graphs.ts';
import { Play } from '../tests/support/core/play.ts';
import type { Event } from './event.ts';
import { jobsOf } from './jobs.ts';
import type { Plan } from './plan.ts';

const CLAIM = { queue: 'images', worker: 'one', token: 'token', leaseMs: 5_000, isLimited: false };

function waiting(retries = 0): Play {
  const play = Play.begun(buildTemplate({ a: { type: 'task', retry: { limit: retries, delayMs: 0 } } }));
  play.claim('a');
  const waitingFor = { kind: 'task', queue: 'images', claimed_by: null } as const;
  const plan = play.send({
    ...(play.parked('a') as Extract<Event, { type: 'park' }>),
    forMs: null,
    waitingFor,
  });
  expect(plan.offersTask).toBe(true);
  return play;
}

function at(play: Play) {
  const { slot, attempt, sequence } = play.state('a');
  return { slot, attempt, sequence };
}

const claimed = (play: Play): Event => ({ type: 'claim_task', ...at(play), task: CLAIM });
const returned = (play: Play, losses: number): Event => ({
  type: 'return_task',
  ...at(play),
  queue: 'images',
  losses,
  random: 0,
});
const jobs = (plan: Plan) =>
  jobsOf(plan, { start: null, hasCallback: false, stopGraceMs: 0, isKept: () => false }, () => 'new').add.map(
    ({ data }) => data,
  );

test('a claim of a task uses no attempt and sets the timer of its lease', () => {
  const play = waiting();
  const plan = play.send(claimed(play));
  expect(play.state('a')).toMatchObject({ status: 'waiting', attempt: 1 });
  expect(plan.steps.get(play.at('a'))!.task).toEqual({ queue: 'images', claim: CLAIM, losses: null });
  expect(jobs(plan)).toMatchObject([{ kind: 'task_lease', step_id: play.state('a').id, token: 'token' }]);
});

test('of two claims of one task the second is late, and so is an answer that was judged before the claim', () => {
  const play = waiting();
  const [first, second, answer] = [claimed(play), claimed(play), play.answered('a')];
  expect(play.send(first, second).late).toEqual([second]);
  expect(play.send(answer).late).toEqual([answer]);
  expect(play.send(play.answered('a')).end).toMatchObject({ status: 'completed' });
});

test('a task whose worker fell silent is free again: the attempt counts and no retry is used', () => {
  const play = waiting(1);
  play.send(claimed(play));
  const plan = play.send(returned(play, 1));
  expect(play.state('a')).toMatchObject({ status: 'waiting', attempt: 2, retries: 0 });
  expect(plan.steps.get(play.at('a'))!.task).toEqual({ queue: 'images', claim: null, losses: 2 });
  expect(plan.offersTask).toBe(true);
  expect(jobs(plan)).toEqual([]);
});

test('the third time in a row it fails with worker_lost, which may be retried', () => {
  const play = waiting(1);
  play.send(claimed(play));
  play.send(returned(play, 2));
  expect(play.state('a')).toMatchObject({ status: 'retrying', attempt: 1, retries: 1 });
  const last = waiting();
  last.send(returned(last, 2));
  expect(last.view.failure).toMatchObject({ code: 'worker_lost', step: 'a' });
});

test('nothing is claimed once a stop was requested', () => {
  const play = waiting();
  const late = claimed(play);
  play.send({ type: 'stop', reason: null });
  expect(play.send(late).late).toEqual([late]);
});
