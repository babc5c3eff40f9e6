/**
 * The life of an attempt and the ends of an execution by example: claims, retries, parking, stop, cancel.
 */
import { expect, test } from 'bun:test';
import { buildTemplate, chain, diamond, orderFulfilment, threeInto } from '../tests/support/core/graphs.ts';
import { Play } from '../tests/support/core/play.ts';
import type { Event } from './event.ts';
import { jobsOf, plannedJobs } from './jobs.ts';
import type { Plan } from './plan.ts';

const retrying = (limit: number) => buildTemplate({ a: { retry: { limit } }, b: { needs: ['a'] } });

test('a claim is held by attempt and owner; anything else comes late and changes nothing', () => {
  const play = Play.begun(chain(2));
  play.claim('step1');
  const result = play.completed('step1') as Extract<ReturnType<Play['completed']>, { type: 'complete' }>;
  const stale = [
    { ...result, claim: { attempt: 1, owner: 'engine-2' } },
    { ...result, claim: { attempt: 2, owner: 'engine-1' } },
    { ...result, claim: { attempt: 0, owner: 'engine-1' } },
    { ...result, slot: play.at('step2') },
  ];
  const sequence = play.view.sequence;
  const plan = play.send(...stale);
  expect(plan.late).toEqual(stale);
  expect(plan).toMatchObject({ changed: false, ready: [], inputs: [] });
  expect(play.view.sequence).toBe(sequence);
  expect(play.send(result, result).late).toEqual([result]);
});

test('a step is claimed once, and not before it is queued', () => {
  const play = Play.begun(chain(2));
  expect(play.claim('step1', 'step1', 'step2').late).toHaveLength(2);
  expect(play.state('step1').attempt).toBe(1);
});

test('a failed attempt is retried after its delay until the limit, then the step fails', () => {
  const play = Play.begun(retrying(1));
  play.claim('a');
  const plan = play.send(play.failed('a', { retryable: true }));
  expect(plan.steps.get(play.at('a'))).toMatchObject({
    timer: { afterMs: 1000, purpose: 'resume' },
    error: { code: 'boom' },
  });
  expect(play.state('a')).toMatchObject({ status: 'retrying', attempt: 1, retries: 1, owner: null });
  expect(play.keys(play.send(play.woken('a')).ready)).toEqual(['a']);
  play.claim('a');
  expect(play.state('a').attempt).toBe(2);
  expect(play.send(play.failed('a', { retryable: true })).end).toMatchObject({ status: 'failed' });
});

test('Retry-After stretches the timer of a retry, within maxDelay', () => {
  const play = Play.begun(orderFulfilment());
  play.claim('reserve');
  const plan = play.send(play.failed('reserve', { retryable: true, retryAfterMs: 3_600_000 }));
  expect(plan.steps.get(play.at('reserve'))!.timer).toEqual({ afterMs: 60_000, purpose: 'resume' });
});

test('a failure before the handler began counts no attempt and is not retried', () => {
  const play = Play.begun(retrying(3));
  play.claim('a');
  play.send(play.failed('a', { begun: false }));
  expect(play.state('a')).toMatchObject({ status: 'failed', attempt: 0, retries: 0 });
});

test('a guard that is falsy skips the step without an attempt', () => {
  const play = Play.begun(chain(2));
  play.skip('step1');
  expect(play.state('step1')).toMatchObject({ status: 'skipped', attempt: 0, owner: null });
  expect(play.view.status).toBe('completed');
});

test('a step that is given back has used no attempt', () => {
  const play = Play.begun(chain(1));
  play.claim('step1');
  const plan = play.send({ type: 'release', slot: 0, claim: play.holding('step1') });
  expect(play.state('step1')).toMatchObject({ status: 'queued', attempt: 0, retries: 0, owner: null });
  expect(play.keys(plan.ready)).toEqual(['step1']);
  play.claim('step1');
  expect(play.state('step1').attempt).toBe(1);
});

test('a step given back in the transition that claimed it is ready once', () => {
  const play = Play.begun(chain(2));
  play.claim('step1');
  const slot = play.at('step2');
  const plan = play.send(
    play.completed('step1'),
    { type: 'claim', slot, owner: 'engine-1' },
    { type: 'release', slot, claim: { attempt: 1, owner: 'engine-1' } },
  );
  expect(play.keys(plan.ready)).toEqual(['step2']);
});

test('an attempt lost with its owner counts as an attempt and uses no retry', () => {
  const play = Play.begun(retrying(0));
  play.claim('a');
  const dead = play.holding('a');
  play.send({ type: 'rescue', slot: 0, claim: dead });
  expect(play.state('a')).toMatchObject({ status: 'queued', retries: 0, crashes: 1 });
  play.claim('a');
  expect(play.state('a').attempt).toBe(2);
  const late = { ...play.completed('a'), claim: dead } as ReturnType<Play['completed']>;
  expect(play.send(late).late).toEqual([late]);
  expect(play.state('a').status).toBe('running');
});

test('a step whose process was ended for what another did has lost its attempt, and no crash is counted', () => {
  const play = Play.begun(retrying(0));
  play.claim('a');
  play.send({ type: 'displace', slot: 0, claim: play.holding('a') });
  expect(play.state('a')).toMatchObject({ status: 'queued', retries: 0, crashes: 0, owner: null });
  play.claim('a');
  expect(play.state('a').attempt).toBe(2);
});

test('a crash is counted once: who tells of it late changes nothing', () => {
  const play = Play.begun(retrying(0));
  play.claim('a');
  const claim = play.holding('a');
  const rescue = { type: 'rescue', slot: 0, claim } as const;
  expect(play.send(rescue, rescue).late).toEqual([rescue]);
  play.claim('a');
  expect(play.send(rescue, { type: 'displace', slot: 0, claim }).late).toHaveLength(2);
  expect(play.state('a')).toMatchObject({ status: 'running', attempt: 2, crashes: 1 });
});

test('a step that crashes while its execution is being stopped is cancelled', () => {
  const play = Play.begun(retrying(0));
  play.claim('a');
  play.send({ type: 'stop', reason: null });
  play.send({ type: 'rescue', slot: 0, claim: play.holding('a') });
  expect(play.state('a')).toMatchObject({ status: 'cancelled', crashes: 1 });
  expect(play.view.status).toBe('cancelled');
});

test('a parked step holds a timer and no claim, and goes on with the same attempt', () => {
  const play = Play.begun(chain(2));
  play.claim('step1');
  const plan = play.send(play.parked('step1'));
  expect(plan.steps.get(0)).toMatchObject({
    timer: { afterMs: 60_000, purpose: 'resume' },
    parkedState: { until: 1 },
  });
  expect(plannedJobs(plan).add.map(({ queue }) => queue)).toEqual(['WorkflowExecutionQueue']);
  expect(play.state('step1')).toMatchObject({ status: 'waiting', owner: null });
  play.send(play.woken('step1'));
  play.complete('step1');
  expect(play.state('step1')).toMatchObject({ status: 'completed', attempt: 1 });
});

test('an attempt that goes on after it was parked is not held by the claim from before', () => {
  const play = Play.begun(chain(1));
  play.claim('step1');
  const before = { ...play.holding('step1'), sequence: play.state('step1').sequence };
  play.send({ ...play.parked('step1'), claim: before } as Event);
  play.send(play.woken('step1'));
  play.claim('step1');
  const again = { ...play.parked('step1'), claim: before } as Event;
  expect(play.send(again).late).toEqual([again]);
  expect(play.state('step1')).toMatchObject({ status: 'running', attempt: 1 });
  const { sequence } = play.state('step1');
  play.send({ ...play.parked('step1'), claim: { ...before, sequence } } as Event);
  expect(play.state('step1').status).toBe('waiting');
});

test('a resumed attempt that is lost counts, and what was parked is not forgotten', () => {
  const play = Play.begun(chain(1));
  play.claim('step1');
  play.send(play.parked('step1'));
  play.send(play.woken('step1'));
  play.claim('step1');
  play.send({ type: 'rescue', slot: 0, claim: play.holding('step1') });
  play.claim('step1');
  expect(play.state('step1')).toMatchObject({ attempt: 2, retries: 0, parked: true });
});

test('a resumed attempt that is given back, or whose expression fails, has still been one', () => {
  const play = Play.begun(chain(1));
  play.claim('step1');
  play.send(play.parked('step1'));
  play.send(play.woken('step1'));
  play.claim('step1');
  play.send({ type: 'release', slot: 0, claim: play.holding('step1') });
  expect(play.state('step1')).toMatchObject({ status: 'queued', attempt: 1, parked: true });
  play.claim('step1');
  play.send(play.failed('step1', { begun: false }));
  expect(play.state('step1')).toMatchObject({ status: 'failed', attempt: 1 });
});

test('a timeout of a parked step is a failure that may be retried', () => {
  const play = Play.begun(retrying(1));
  play.claim('a');
  play.send(play.parked('a', 1000));
  const plan = play.send(play.timedOut('a'));
  expect(plan.steps.get(0)!.error!.code).toBe('timeout');
  expect(play.state('a')).toMatchObject({
    status: 'retrying',
    retries: 1,
    parked: false,
    hasDeadline: false,
  });
});

test('a timeout that is told twice uses one retry', () => {
  const play = Play.begun(retrying(1));
  play.claim('a');
  play.send(play.parked('a', 1000));
  const timeout = play.timedOut('a');
  expect(play.send(timeout, timeout).late).toEqual([timeout]);
  expect(play.send(timeout).late).toEqual([timeout]);
  expect(play.state('a')).toMatchObject({ status: 'retrying', retries: 1 });
});

test('a parked attempt has one deadline, however often it is parked, and a retry has its own', () => {
  const play = Play.begun(retrying(1));
  const deadlines = (plan: Plan) => [...plan.steps.values()].map(({ deadlineMs }) => deadlineMs);
  play.claim('a');
  expect(deadlines(play.send(play.parked('a', 1000)))).toEqual([1000]);
  play.send(play.woken('a'));
  play.claim('a');
  expect(deadlines(play.send(play.parked('a', 400)))).toEqual([null]);
  const ofTheFirst = play.timedOut('a');
  play.send(ofTheFirst);
  play.send(play.woken('a'));
  play.claim('a');
  expect(deadlines(play.send(play.parked('a', 900)))).toEqual([900]);
  expect(play.send(ofTheFirst).late).toEqual([ofTheFirst]);
});

test('a timeout ends a parked step that waits for its turn again, and not one that runs', () => {
  const play = Play.begun(retrying(0));
  play.claim('a');
  play.send(play.parked('a', 1000));
  play.send(play.woken('a'));
  play.claim('a');
  const timeout = play.timedOut('a');
  expect(play.send(timeout).late).toEqual([timeout]);
  play.send({ type: 'rescue', slot: play.at('a'), claim: play.holding('a') });
  expect(play.state('a')).toMatchObject({ status: 'queued', parked: true, hasDeadline: true });
  play.send(play.timedOut('a'));
  expect(play.state('a')).toMatchObject({ status: 'failed' });
});

test('the deadline of a step has a job until its attempt ends', () => {
  const jobs = (plan: Plan) =>
    jobsOf(plan, { start: null, hasCallback: false, stopGraceMs: 1, isKept: () => false }, () => 'id');
  const play = Play.begun(retrying(0));
  play.claim('a');
  const parked = jobs(play.send(play.parked('a', 1000))).add;
  expect(parked.map(({ data, startAfter }) => [data.kind, startAfter])).toEqual([
    ['timer', 60_000],
    ['step_deadline', 1000],
  ]);
  expect(jobs(play.send(play.woken('a'))).remove).toHaveLength(1);
  play.claim('a');
  const [, deadline] = parked;
  expect(jobs(play.send(play.completed('a'))).remove).toContainEqual({
    queue: 'WorkflowExecutionQueue',
    id: deadline!.id,
  });
});

test('a step can wait for something else than a time: it has no timer, and its row says what for', () => {
  const play = Play.begun(retrying(0));
  play.claim('a');
  const waitingFor = { kind: 'signal', name: 'paid' };
  const plan = play.send({ ...play.parked('a'), forMs: null, waitingFor } as Event);
  expect(plannedJobs(plan).add).toEqual([]);
  expect([...plan.steps.values()][0]).toMatchObject({ waitingFor, timer: null });
  expect(plannedJobs(play.send(play.woken('a'))).remove).toEqual([]);
});

test('a timer of an earlier attempt wakes nobody', () => {
  const play = Play.begun(retrying(2));
  play.claim('a');
  play.send(play.failed('a', { retryable: true }));
  const first = play.woken('a');
  play.send(first);
  play.claim('a');
  play.send(play.failed('a', { retryable: true }));
  expect(play.send(first).late).toEqual([first]);
  expect(play.state('a').status).toBe('retrying');
});

test('a stop cancels what does not run at once and waits for what does', () => {
  const play = Play.begun(threeInto('any'));
  play.claim('a', 'b');
  const plan = play.send({ type: 'stop', reason: 'enough' });
  expect(plan).toMatchObject({ stopping: true, end: null, ready: [] });
  expect(play.keys(plan.aborted.map(({ slot }) => slot))).toEqual(['a', 'b']);
  expect(play.steps).toMatchObject({ a: 'running', b: 'running', c: 'cancelled', meet: 'cancelled' });
  expect(play.view.status).toBe('running');
  const first = play.send(play.completed('a'));
  expect(first).toMatchObject({ end: null, ready: [] });
  expect(play.steps).toMatchObject({ a: 'completed', meet: 'cancelled' });
  expect(play.send(play.failed('b')).end).toMatchObject({
    status: 'cancelled',
    error: { message: 'enough' },
  });
  expect(play.steps.b).toBe('failed');
});

test('after a stop nothing is claimed, retried, parked or handled', () => {
  const play = Play.begun(
    buildTemplate({
      a: { retry: { limit: 5 } },
      b: {},
      c: {},
      alert: { needs: [{ step: 'a', on: 'failure' }] },
    }),
  );
  play.claim('a', 'b', 'c');
  play.send({ type: 'stop', reason: null });
  play.send(play.failed('a', { retryable: true }), play.parked('b'));
  expect(play.steps).toEqual({ a: 'failed', b: 'cancelled', c: 'running', alert: 'cancelled' });
  expect(play.claim('alert').late).toHaveLength(1);
  play.send({ type: 'release', slot: play.at('c'), claim: play.holding('c') });
  expect(play.state('c')).toMatchObject({ status: 'cancelled', attempt: 0 });
  expect(play.view.status).toBe('cancelled');
});

test('a stop with nothing running, and one before the beginning, end the execution at once', () => {
  const idle = Play.begun(diamond());
  expect(idle.send({ type: 'stop', reason: null }).end!.status).toBe('cancelled');
  const pending = new Play(diamond());
  expect(pending.send({ type: 'stop', reason: null }).end!.status).toBe('cancelled');
  expect(Object.values(pending.steps)).toEqual(['cancelled', 'cancelled', 'cancelled', 'cancelled']);
  expect(pending.send({ type: 'begin' }).late).toHaveLength(1);
});

test('the grace time over, what still runs is cancelled and its result refused', () => {
  const play = Play.begun(chain(2));
  expect(play.send({ type: 'stop_overdue' }).late).toHaveLength(1);
  play.claim('step1');
  play.send({ type: 'stop', reason: null });
  expect(play.send({ type: 'stop', reason: 'again' }).late).toHaveLength(1);
  const result = play.completed('step1');
  const plan = play.send({ type: 'stop_overdue' });
  expect(plan.end!.status).toBe('cancelled');
  expect(plan.aborted.map(({ slot }) => slot)).toEqual([0]);
  expect(play.send(result).late).toEqual([result]);
});

test('a cancel and a timeout are final in the same transition, and refuse what comes late', () => {
  for (const [event, status] of [
    [{ type: 'cancel', reason: null }, 'cancelled'],
    [{ type: 'time_out' }, 'timed_out'],
  ] as const) {
    const play = Play.begun(diamond());
    play.complete('split');
    play.claim('left');
    const result = play.completed('left');
    const plan = play.send(event, result);
    expect(plan.end!.status).toBe(status);
    expect(plan.late).toEqual([result]);
    expect(play.steps).toMatchObject({ split: 'completed', left: 'cancelled', meet: 'cancelled' });
    const { remove, add } = plannedJobs(plan);
    expect(add).toEqual([]);
    expect(remove.map(({ change }) => change.state.slot)).toEqual([play.at('right')]);
  }
});

test('an execution is rejected while it is pending and not later', () => {
  const reject = { type: 'reject', code: 'invalid_inputs', message: 'orderId is missing' } as const;
  const play = new Play(chain(2));
  expect(play.send(reject).end).toEqual({
    status: 'failed',
    error: { code: 'invalid_inputs', message: 'orderId is missing', step: null },
  });
  expect(Play.begun(chain(2)).send(reject).late).toEqual([reject]);
});

test('a paused execution takes results and records timers, but nothing is claimed', () => {
  const play = Play.begun(diamond());
  play.complete('split');
  play.claim('left');
  play.send({ type: 'pause', by: null });
  play.send(play.completed('left'));
  expect(play.steps).toMatchObject({ left: 'completed', right: 'queued', meet: 'waiting_inputs' });
  expect(play.claim('right').late).toHaveLength(1);
});

test('a step with several needs has its ticket in the merge queue, and it goes with the claim', () => {
  const play = Play.begun(diamond());
  play.complete('split');
  play.complete('left');
  const plan = play.complete('right');
  expect(plannedJobs(plan).add.map(({ queue }) => queue)).toEqual(['MergeExecutionQueue']);
  expect(plannedJobs(play.claim('meet')).remove.map(({ queue }) => queue)).toEqual(['MergeExecutionQueue']);
});

test('a step that waits twice within an attempt is not woken by the timer of its first wait', () => {
  const play = Play.begun(chain(1));
  play.claim('step1');
  play.send(play.parked('step1'));
  const first = play.woken('step1');
  play.send(first);
  play.claim('step1');
  play.send(play.parked('step1'));
  expect(play.send(first).late).toEqual([first]);
  expect(play.state('step1')).toMatchObject({ status: 'waiting', attempt: 1 });
  play.send(play.woken('step1'));
  expect(play.state('step1').status).toBe('queued');
});

test('attempts that fail, are lost or are given back are noted with their number and engine, others are not', () => {
  const play = Play.begun(retrying(1));
  const noted = ({ attempts }: Plan) =>
    attempts?.map(({ attempt, owner, outcome, error }) => [attempt, owner, outcome, error?.code ?? null]) ??
    [];
  const end = (type: 'release' | 'rescue' | 'displace') =>
    play.send({ type, slot: play.at('a'), claim: play.holding('a') });
  play.claim('a');
  expect(noted(end('release'))).toEqual([[1, 'engine-1', 'given_back', null]]);
  play.claim('a');
  expect(noted(end('rescue'))).toEqual([[1, 'engine-1', 'lost', null]]);
  play.claim('a');
  expect(noted(end('displace'))).toEqual([[2, 'engine-1', 'lost', null]]);
  play.claim('a');
  expect(noted(play.send(play.failed('a', { begun: false })))).toEqual([]);
  const other = Play.begun(retrying(1));
  other.claim('a');
  expect(noted(other.send(other.failed('a', { retryable: true })))).toEqual([
    [1, 'engine-1', 'failed', 'boom'],
  ]);
  other.send(other.woken('a'));
  other.claim('a');
  expect(noted(other.send(other.completed('a')))).toEqual([]);
});
