/**
 * Races by example: the steps that a join ends when it fires, and those that go on.
 */
import { expect, test } from 'bun:test';
import { buildTemplate, type StepOptions } from '../../tests/support/core/graphs.ts';
import { Play } from '../../tests/support/core/play.ts';
import { lateResults } from './late-result.ts';

const FIRST = { join: 1, cancelsLosers: true } as const;

function begun(steps: Record<string, StepOptions>): Play {
  return Play.begun(buildTemplate(steps, 'continue'));
}

test('the first of several wins, and the others end with the commit in which the join fires', () => {
  const play = begun({ a: {}, b: {}, c: {}, meet: { needs: ['a', 'b', 'c'], ...FIRST } });
  play.claim('a', 'b');
  const plan = play.send(play.completed('a'));
  expect(play.steps).toEqual({ a: 'completed', b: 'cancelled', c: 'cancelled', meet: 'queued' });
  expect(play.keys(plan.aborted.map(({ slot }) => slot))).toEqual(['b']);
  expect(plan.inputs.map(({ producer, live }) => [play.keys([producer.slot])[0], live])).toEqual([
    ['a', true],
    ['b', false],
    ['c', false],
  ]);
  expect(play.complete('meet').end).toEqual({ status: 'completed', error: null });
});

test('a whole branch loses, with the steps of it that have no row yet', () => {
  const play = begun({
    quick: {},
    slow1: {},
    slow2: { needs: ['slow1'] },
    slow3: { needs: [{ step: 'slow2', on: 'always' }] },
    meet: { needs: ['quick', 'slow3'], ...FIRST },
  });
  play.claim('slow1');
  play.complete('quick');
  expect(play.steps).toEqual({
    quick: 'completed',
    slow1: 'cancelled',
    slow2: 'cancelled',
    slow3: 'cancelled',
    meet: 'queued',
  });
});

test('a step that serves another one goes on, whatever the edge to that one is', () => {
  for (const on of ['success', 'failure', 'always'] as const) {
    const play = begun({
      quick: {},
      slow: {},
      meet: { needs: ['quick', 'slow'], ...FIRST },
      other: { needs: [{ step: 'slow', on }] },
    });
    play.claim('slow');
    play.complete('quick');
    expect(play.steps.slow).toBe('running');
  }
});

test('a step that serves only what is over is a loser', () => {
  const play = begun({
    quick: {},
    slow: {},
    other: { needs: ['quick', 'slow'], join: 1 },
    meet: { needs: ['other', 'slow'], ...FIRST },
  });
  play.claim('slow');
  play.complete('quick');
  expect(play.steps.slow).toBe('running');
  play.complete('other');
  expect(play.steps.slow).toBe('cancelled');
});

test('an edge of a loser is dead, also an always edge, and a later join counts it so', () => {
  const play = begun({
    quick: {},
    slow: {},
    meet: { needs: ['quick', { step: 'slow', on: 'always' }], ...FIRST },
  });
  play.claim('slow');
  play.complete('quick');
  const edge = play.view.graph.incoming[play.at('meet')]!.find(({ from }) => from === play.at('slow'))!;
  expect(play.view.edges[edge.id]).toBe(2);
  expect(play.state('meet')).toMatchObject({ resolved: 2, live: 1 });
});

test('a join that fires among the skips of one commit cancels nothing that the commit skips', () => {
  const play = begun({
    a: {},
    skipped: { needs: [{ step: 'a', on: 'failure' }] },
    meet: { needs: ['a', 'skipped'], ...FIRST },
  });
  play.complete('a');
  expect(play.steps).toEqual({ a: 'completed', skipped: 'skipped', meet: 'queued' });
});

test('a late result of a loser changes nothing, and is kept', () => {
  const play = begun({ a: {}, b: {}, meet: { needs: ['a', 'b'], ...FIRST } });
  play.claim('a', 'b');
  const late = play.completed('b');
  play.send(play.completed('a'));
  const plan = play.send(late);
  expect(plan.changed).toBe(false);
  expect(lateResults(plan)).toEqual([{ stepId: play.state('b').id, event: late as never }]);
  expect(play.steps).toEqual({ a: 'completed', b: 'cancelled', meet: 'queued' });
});

test('a parked loser has no timer any more', () => {
  const play = begun({ a: {}, b: {}, meet: { needs: ['a', 'b'], ...FIRST } });
  play.claim('a', 'b');
  play.send(play.parked('b'));
  play.send(play.completed('a'));
  expect(play.state('b')).toMatchObject({ status: 'cancelled', hasTimer: false, hasDeadline: false });
});

test('a failure of a branch counts until the join has fired', () => {
  const play = Play.begun(buildTemplate({ a: {}, b: {}, meet: { needs: ['a', 'b'], ...FIRST } }));
  play.claim('a', 'b');
  play.send(play.failed('b'));
  expect(play.view.status).toBe('failed');
});

test('a definition without such a join knows no losers', () => {
  expect(Play.begun(buildTemplate({ a: {}, b: { needs: ['a'] } })).view.graph.mayLose).toBeNull();
});
