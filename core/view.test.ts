import { expect, test } from 'bun:test';
import { diamond, orderFulfilment, threeInto } from '../tests/support/core/graphs.ts';
import { Play } from '../tests/support/core/play.ts';
import { compileGraph } from './graph.ts';
import { isFinalExecution, isFinalStep } from './status.ts';
import { EDGE_DEAD, EDGE_LIVE, EDGE_OPEN, emptyView, loadView, type StepRow } from './view.ts';

/** The rows that the store would have of a played execution. */
function rowsOf(play: Play): StepRow[] {
  return play.view.steps
    .filter((state) => state !== undefined)
    .map(({ resolved: _resolved, live: _live, ...row }) => row);
}

function reload(play: Play, rows = rowsOf(play)) {
  const { id, status, sequence, stopRequested, failure, due, graph } = play.view;
  return loadView({ id, status, sequence, stopRequested, failure, due }, graph, rows);
}

test('an empty view is pending, with every edge open and no step', () => {
  const view = emptyView('execution', compileGraph(diamond()));
  expect(view).toMatchObject({ status: 'pending', sequence: 0, settledCount: 0, stopRequested: null });
  expect([...view.edges]).toEqual([EDGE_OPEN, EDGE_OPEN, EDGE_OPEN, EDGE_OPEN]);
  expect(view.steps.filter(Boolean)).toEqual([]);
});

test('a view loaded from no rows is the empty view', () => {
  const graph = compileGraph(diamond());
  const { id, status, sequence, stopRequested, failure, due } = emptyView('execution', graph);
  const loaded = loadView({ id, status, sequence, stopRequested, failure, due }, graph, []);
  expect(loaded).toEqual(emptyView('execution', graph));
});

test('a view loaded in the middle counts edges and goes on as the live one does', () => {
  const play = Play.begun(threeInto(2));
  play.complete('a');
  play.fail('b');
  const loaded = reload(play);
  expect(loaded.steps[play.at('meet')]).toMatchObject({ resolved: 2, live: 1, status: 'waiting_inputs' });
  expect(loaded.edges).toEqual(play.view.edges);
  expect(loaded.settledCount).toBe(2);
  expect(loaded.failure).toMatchObject({ step: 'b' });
});

test('the routes of a switch tell a loaded view which of its edges are live', () => {
  const play = Play.begun(orderFulfilment());
  play.complete('reserve');
  play.complete('decide', ['standard']);
  const edgeInto = (key: string) => reload(play).edges[play.view.graph.incoming[play.at(key)]![0]!.id];
  expect(edgeInto('standard')).toBe(EDGE_LIVE);
  expect(edgeInto('express')).toBe(EDGE_DEAD);
  expect(edgeInto('ship')).toBe(EDGE_DEAD);
});

test('a view loaded within a stop agrees with the live one about results of the grace time', () => {
  const play = Play.begun(diamond());
  play.complete('split');
  play.claim('left', 'right');
  play.send({ type: 'stop', reason: null });
  play.send(play.completed('left'));
  const loaded = reload(play);
  expect(loaded.edges).toEqual(play.view.edges);
  expect(loaded.steps[play.at('meet')]).toEqual(play.state('meet'));
});

test('a view loaded after a failure that ended the execution agrees with the live one', () => {
  const play = Play.begun(diamond());
  play.complete('split');
  play.fail('left');
  const loaded = reload(play);
  expect(loaded.edges).toEqual(play.view.edges);
  expect(loaded.steps).toEqual(play.view.steps);
});

test('a loaded view shares no state with the rows it came from', () => {
  const play = Play.begun(diamond());
  const rows = rowsOf(play);
  const loaded = reload(play, rows);
  loaded.steps[play.at('split')]!.status = 'running';
  expect(rows[0]!.status).toBe('queued');
  expect(play.state('split').status).toBe('queued');
});

test('four statuses of an execution and four of a step are final', () => {
  expect(isFinalExecution('timed_out') && isFinalExecution('cancelled')).toBe(true);
  expect(isFinalExecution('paused')).toBe(false);
  expect(isFinalStep('skipped') && isFinalStep('cancelled')).toBe(true);
  expect(isFinalStep('retrying')).toBe(false);
});
