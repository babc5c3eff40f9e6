/**
 * What is stuck is decided again by the same rules, and what is not stuck is left alone.
 */
import { expect, test } from 'bun:test';
import { diamond, threeInto } from '../tests/support/core/graphs.ts';
import { Play } from '../tests/support/core/play.ts';
import { EDGE_LIVE } from './view.ts';

const RECONSIDER = { type: 'reconsider' } as const;

test('nothing comes of it while the execution goes its way, before its start or after its end', () => {
  const play = new Play(diamond());
  const left = () => play.send(RECONSIDER);
  expect(left()).toMatchObject({ changed: false, late: [RECONSIDER] });
  play.send({ type: 'begin' });
  expect(left()).toMatchObject({ changed: false, late: [RECONSIDER] });
  play.complete('split');
  play.complete('left');
  expect(left()).toMatchObject({ changed: false, late: [RECONSIDER] });
  play.complete('right');
  play.complete('meet');
  expect(play.view.status).toBe('completed');
  expect(left()).toMatchObject({ changed: false, late: [RECONSIDER] });
});

test('a join whose edges are all resolved fires', () => {
  const play = Play.begun(diamond());
  play.complete('split');
  play.complete('left');
  const meet = play.view.steps[play.at('meet')]!;
  const right = play.view.steps[play.at('right')]!;
  right.status = 'completed';
  play.view.settledCount += 1;
  const edge = play.view.graph.edges.find(({ from, to }) => from === right.slot && to === meet.slot)!;
  play.view.edges[edge.id] = EDGE_LIVE;
  meet.resolved = 2;
  meet.live = 2;
  const plan = play.send(RECONSIDER);
  expect(play.keys(plan.ready)).toEqual(['meet']);
  expect(plan.steps.get(meet.slot)!.received).toEqual([
    { key: 'left', live: true, route: null },
    { key: 'right', live: true, route: null },
  ]);
  expect(play.complete('meet').end).toEqual({ status: 'completed', error: null });
});

test('an execution all of whose steps are final ends, and by a failure that was recorded it fails', () => {
  for (const failure of [null, { code: 'no_stock', message: 'none left', step: 'a' }]) {
    const play = Play.begun(threeInto('all', 'continue'));
    for (const key of ['a', 'b', 'c', 'meet', 'after']) play.complete(key);
    play.view.status = 'running';
    play.view.failure = failure;
    const status = failure === null ? 'completed' : 'failed';
    expect(play.send(RECONSIDER).end).toEqual({ status, error: failure });
  }
});

test('a failure that nobody judged stays: to end the execution would be a guess', () => {
  const play = Play.begun(diamond());
  for (const key of ['split', 'left', 'right', 'meet']) play.complete(key);
  play.view.status = 'running';
  play.view.steps[play.at('meet')]!.status = 'failed';
  expect(play.send(RECONSIDER)).toMatchObject({ changed: false, end: null });
});

test('an execution being stopped with nothing running is cancelled, and not before', () => {
  const play = Play.begun(diamond());
  play.claim('split');
  play.send({ type: 'stop', reason: 'enough' });
  expect(play.send(RECONSIDER)).toMatchObject({ changed: false, end: null });
  play.view.steps[play.at('split')]!.status = 'cancelled';
  play.view.settledCount += 1;
  expect(play.send(RECONSIDER).end).toMatchObject({ status: 'cancelled', error: { message: 'enough' } });
});
