/**
 * The graph semantics by example: joins, routes, failures and the order of what is ready.
 */
import { expect, test } from 'bun:test';
import { buildTemplate, diamond, fanOut, orderFulfilment, threeInto } from '../tests/support/core/graphs.ts';
import { Play } from '../tests/support/core/play.ts';
import { plannedJobs } from './jobs.ts';
import { claimWithin } from './transition.ts';

test('an execution begins with its roots queued and nothing else', () => {
  const play = new Play(diamond());
  const plan = play.send({ type: 'begin' });
  expect(plan.begun).toBe(true);
  expect(play.steps).toEqual({ split: 'queued' });
  expect(play.send({ type: 'begin' }).late).toHaveLength(1);
});

test('a diamond meets once, when both sides are done', () => {
  const play = Play.begun(diamond());
  expect(play.keys(play.complete('split').ready)).toEqual(['left', 'right']);
  expect(play.keys(play.complete('right').ready)).toEqual([]);
  expect(play.steps.meet).toBe('waiting_inputs');
  const plan = play.complete('left');
  expect(play.keys(plan.ready)).toEqual(['meet']);
  expect(plan.steps.get(play.at('meet'))!.received).toEqual([
    { key: 'left', live: true, route: null },
    { key: 'right', live: true, route: null },
  ]);
  expect(play.complete('meet').end).toEqual({ status: 'completed', error: null });
});

test('both sides of a diamond that finish in one transition start the join once', () => {
  const play = Play.begun(diamond());
  play.complete('split');
  play.claim('left', 'right');
  const plan = play.send(play.completed('left'), play.completed('right'));
  expect(play.keys(plan.ready)).toEqual(['meet']);
  expect(plan.inputs).toHaveLength(2);
  expect(play.view.sequence).toBe(5);
});

test('a join with one skipped input runs when the other arrives', () => {
  const play = Play.begun(diamond());
  play.complete('split');
  play.skip('left');
  expect(play.steps.meet).toBe('waiting_inputs');
  const plan = play.complete('right');
  expect(play.steps.meet).toBe('queued');
  expect(plan.steps.get(play.at('meet'))!.received).toEqual([
    { key: 'left', live: false, route: null },
    { key: 'right', live: true, route: null },
  ]);
});

test('a join whose inputs are all dead is skipped, and so is what follows', () => {
  const play = Play.begun(threeInto('all'));
  for (const key of ['a', 'b', 'c']) play.skip(key);
  expect(play.steps).toEqual({ a: 'skipped', b: 'skipped', c: 'skipped', meet: 'skipped', after: 'skipped' });
  expect(play.view.status).toBe('completed');
});

test('atLeast 2 of 3 starts with the second input and records the third', () => {
  const play = Play.begun(threeInto(2));
  play.complete('c');
  const plan = play.complete('a');
  expect(play.keys(plan.ready)).toEqual(['meet']);
  expect(plan.steps.get(play.at('meet'))!.received!.map(({ key }) => key)).toEqual(['a', 'c']);
  play.complete('meet');
  const late = play.complete('b');
  expect(late.ready).toEqual([]);
  expect(late.inputs.map(({ target, live }) => [target.slot, live])).toEqual([[play.at('meet'), true]]);
  expect(late.steps.has(play.at('meet'))).toBe(false);
  expect(play.steps.meet).toBe('completed');
});

test('atLeast 2 of 3 is skipped as soon as two inputs are dead', () => {
  const play = Play.begun(threeInto(2));
  play.skip('a');
  expect(play.steps.meet).toBe('waiting_inputs');
  play.skip('c');
  expect(play.steps).toMatchObject({ b: 'queued', meet: 'skipped', after: 'skipped' });
  play.complete('b');
  expect(play.view.status).toBe('completed');
});

test('an any join starts with the first live input, not with a dead one', () => {
  const play = Play.begun(threeInto('any'));
  play.skip('a');
  expect(play.steps.meet).toBe('waiting_inputs');
  play.complete('b');
  expect(play.steps.meet).toBe('queued');
});

test('an execution is not over while a step whose result nobody needs still runs', () => {
  const play = Play.begun(threeInto('any'));
  play.complete('a');
  play.complete('meet');
  play.complete('after');
  play.complete('b');
  expect(play.view.status).toBe('running');
  play.complete('c');
  expect(play.view.status).toBe('completed');
});

test('the express branch of the order fulfilment skips the standard one and the alert', () => {
  const play = Play.begun(orderFulfilment());
  play.complete('reserve');
  const plan = play.complete('decide', ['express']);
  expect(plan.inputs.filter(({ live }) => live).map(({ route }) => route)).toEqual(['express']);
  expect(play.steps).toMatchObject({ alert: 'skipped', standard: 'skipped', ship: 'waiting_inputs' });
  play.complete('express');
  expect(play.complete('ship').end).toEqual({ status: 'completed', error: null });
});

test('the standard branch of the order fulfilment skips the express one', () => {
  const play = Play.begun(orderFulfilment());
  play.complete('reserve');
  play.complete('decide', ['standard']);
  play.complete('standard');
  play.complete('ship');
  expect(play.steps).toMatchObject({ express: 'skipped', standard: 'completed', ship: 'completed' });
  expect(play.view.status).toBe('completed');
});

test('an order that no branch takes is completed with everything behind the switch skipped', () => {
  const play = Play.begun(orderFulfilment());
  play.complete('reserve');
  expect(play.complete('decide', []).end).toEqual({ status: 'completed', error: null });
  expect(play.steps).toMatchObject({ express: 'skipped', standard: 'skipped', ship: 'skipped' });
});

test('a reservation that fails for good is handled by the alert, and the execution completes', () => {
  const play = Play.begun(orderFulfilment());
  expect(play.keys(play.fail('reserve').ready)).toEqual(['alert']);
  expect(play.steps).toMatchObject({ decide: 'skipped', ship: 'skipped', alert: 'queued' });
  expect(play.complete('alert').end).toEqual({ status: 'completed', error: null });
});

test('the failure of a failure handler is judged on its own', () => {
  const play = Play.begun(orderFulfilment());
  play.fail('reserve');
  expect(play.fail('alert').end).toMatchObject({ status: 'failed', error: { step: 'alert' } });
});

test('a failure stays handled when its handler is skipped by its guard', () => {
  const play = Play.begun(orderFulfilment());
  play.fail('reserve');
  expect(play.skip('alert').end).toEqual({ status: 'completed', error: null });
});

test('an always edge fires after a failure and handles it, and does not fire for a skipped step', () => {
  const template = () => buildTemplate({ a: {}, tidy: { needs: [{ step: 'a', on: 'always' }] } });
  const failing = Play.begun(template());
  failing.fail('a');
  expect(failing.steps).toEqual({ a: 'failed', tidy: 'queued' });
  const skipping = Play.begun(template());
  skipping.skip('a');
  expect(skipping.steps).toEqual({ a: 'skipped', tidy: 'skipped' });
});

test('an unhandled failure with onFailure stop ends the execution in the same transition', () => {
  const play = Play.begun(threeInto('all', 'stop'));
  play.claim('a', 'b');
  const plan = play.send(play.failed('b'));
  expect(plan.end).toEqual({
    status: 'failed',
    error: { code: 'boom', message: 'b failed', step: 'b' },
  });
  expect(play.keys(plan.aborted.map(({ slot }) => slot))).toEqual(['a']);
  const rest = { a: 'cancelled', c: 'cancelled', meet: 'cancelled', after: 'cancelled' } as const;
  expect(play.steps).toEqual({ ...rest, b: 'failed' });
});

test('the edges of the failure that ended the execution are on record, and decide nothing', () => {
  const play = Play.begun(diamond());
  play.complete('split');
  const plan = play.fail('left');
  expect(plan.inputs.map(({ target, live }) => [target.status, live])).toEqual([['cancelled', false]]);
  expect(plan.steps.get(play.at('meet'))!.received).toBeNull();
});

test('with onFailure continue the other branches run to their end and the first failure is told', () => {
  const play = Play.begun(threeInto('any'));
  play.fail('c');
  play.fail('a');
  expect(play.view.status).toBe('running');
  play.complete('b');
  play.complete('meet');
  expect(play.complete('after').end).toMatchObject({ status: 'failed', error: { step: 'c' } });
});

test('two failures in one transition tell the one that came first', () => {
  const play = Play.begun(threeInto('all', 'stop'));
  play.claim('a', 'b');
  const plan = play.send(play.failed('b'), play.failed('a'));
  expect(plan.end!.error!.step).toBe('b');
  expect(plan.late).toHaveLength(1);
  expect(play.steps).toMatchObject({ a: 'cancelled', b: 'failed' });
});

test('ready steps come by depth, then priority, then definition order', () => {
  const play = Play.begun(
    buildTemplate({
      deep: { needs: ['first'], priority: 5 },
      first: {},
      other: {},
      low: { needs: ['other'], priority: -1 },
      high: { needs: ['other'], priority: 7 },
      deeper: { needs: ['low', 'first'], join: 'any', priority: 99 },
    }),
  );
  play.claim('first', 'other');
  const plan = play.send(play.completed('other'), play.completed('first'));
  expect(play.keys(plan.ready)).toEqual(['high', 'deep', 'low', 'deeper']);
});

test('a step claimed within the plan that made it ready leaves no ticket', () => {
  const play = Play.begun(fanOut(3));
  const plan = play.complete('first');
  const sequence = play.view.sequence;
  expect(claimWithin(plan, play.at('branch2'), 'engine-1')).toBe(true);
  expect(plannedJobs(plan).add.map(({ change }) => change.state.slot)).toEqual([
    play.at('branch1'),
    play.at('branch3'),
  ]);
  expect(play.view.sequence).toBe(sequence);
  expect(play.state('branch2')).toMatchObject({ status: 'running', attempt: 1, owner: 'engine-1' });
  expect(claimWithin(plan, play.at('branch2'), 'engine-2')).toBe(false);
  expect(claimWithin(plan, play.at('last'), 'engine-1')).toBe(false);
});

test('a claim within a plan that changed nothing else counts one commit', () => {
  const play = Play.begun(diamond());
  const plan = play.send();
  expect(plan.changed).toBe(false);
  expect(claimWithin(plan, play.at('split'), 'engine-1')).toBe(true);
  expect(plan.changed).toBe(true);
  expect(play.view.sequence).toBe(plan.fromSequence + 1);
});
