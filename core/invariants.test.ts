/**
 * Sound executions give no finding, and every kind of damage gives its own.
 */
import { expect, test } from 'bun:test';
import { diamond, threeInto } from '../tests/support/core/graphs.ts';
import { Play } from '../tests/support/core/play.ts';
import {
  type Finding,
  findInInputs,
  findInJobs,
  findInSuccession,
  findInView,
  type StepJob,
  snapshot,
  type TrackedInput,
} from './invariants.ts';
import { EDGE_LIVE, EDGE_OPEN } from './view.ts';

/** A diamond whose left side is done, with the right one running. */
function halfway(): Play {
  const play = Play.begun(diamond());
  play.complete('split');
  play.complete('left');
  play.claim('right');
  return play;
}

function codes(findings: readonly Finding[]): string[] {
  return findings.map(({ code, step }) => `${code} ${step ?? '-'}`);
}

function inputsOf(play: Play): TrackedInput[] {
  const { view } = play;
  return view.graph.edges
    .filter(({ id }) => view.edges[id] !== EDGE_OPEN)
    .map(({ id, from, to }) => ({
      stepId: view.steps[to]!.id,
      fromStepId: view.steps[from]!.id,
      live: view.edges[id] === EDGE_LIVE,
    }));
}

function ticket(play: Play, key: string, queue: StepJob['queue']): StepJob {
  return { queue, stepId: play.state(key).id };
}

test('a sound execution gives no finding', () => {
  const play = halfway();
  expect(findInView(play.view)).toEqual([]);
  expect(findInJobs(play.view, [])).toEqual([]);
  expect(findInInputs(play.view, inputsOf(play))).toEqual([]);
});

test('damage to a view is found and named', () => {
  const damages: [damage: (play: Play) => void, found: string[]][] = [
    [(play) => (play.state('meet').live = 0), ['counters_wrong meet']],
    [(play) => (play.view.settledCount = 1), ['counters_wrong -']],
    [(play) => (play.state('right').owner = null), ['claim_wrong right']],
    [(play) => (play.state('left').owner = 'engine-1'), ['claim_wrong left']],
    [(play) => (play.state('right').attempt = 0), ['claim_wrong right']],
    [(play) => (play.state('right').retries = 1), ['retries_over_limit right']],
    [(play) => (play.state('meet').status = 'queued'), ['join_decided_early meet']],
    [(play) => (play.view.steps[play.at('meet')] = undefined), ['row_missing meet']],
    [(play) => (play.view.status = 'pending'), ['row_too_early -']],
    [(play) => (play.view.status = 'cancelled'), ['not_settled meet', 'not_settled right']],
    [(play) => (play.view.stopRequested = { reason: null }), ['stop_overlooked -']],
    [
      (play) => Object.assign(play.state('right'), { status: 'waiting_inputs', owner: null }),
      ['join_undecided right', 'stuck -'],
    ],
    [
      (play) => Object.assign(play.state('right'), { status: 'completed', owner: null }),
      ['edge_wrong meet', 'counters_wrong -', 'stuck -'],
    ],
    [
      (play) => Object.assign(play.state('left'), { status: 'failed' }),
      ['edge_wrong meet', 'failure_overlooked -'],
    ],
  ];
  for (const [damage, found] of damages) {
    const play = halfway();
    damage(play);
    expect(codes(findInView(play.view)).sort()).toEqual(found.sort());
  }
});

test('a row that no edge asked for, and a root or a final step without one, are found', () => {
  const play = Play.begun(diamond());
  play.view.steps[play.at('meet')] = {
    ...play.state('split'),
    id: 'x',
    slot: 3,
    status: 'waiting_inputs',
  };
  expect(codes(findInView(play.view))).toEqual(['row_too_early meet']);
  play.view.steps[play.at('meet')] = undefined;
  play.view.steps[play.at('split')] = undefined;
  expect(codes(findInView(play.view))).toContain('row_missing split');
  const over = Play.begun(diamond());
  over.send({ type: 'cancel', reason: null });
  over.view.steps[over.at('meet')] = undefined;
  expect(codes(findInView(over.view))).toContain('row_missing meet');
});

test('an execution that is over but goes on, or completed over a failure, is found', () => {
  const play = Play.begun(threeInto('any'));
  play.fail('a');
  for (const key of ['b', 'c', 'meet', 'after']) play.complete(key);
  expect(findInView(play.view)).toEqual([]);
  play.view.status = 'completed';
  expect(codes(findInView(play.view))).toEqual(['failure_overlooked -']);
  play.view.status = 'running';
  expect(codes(findInView(play.view)).sort()).toEqual(['not_ended -', 'stuck -']);
});

test('a missing, stray, doubled or misplaced job is found', () => {
  const play = Play.begun(diamond());
  const right = ticket(play, 'split', 'StepExecutionQueue');
  expect(findInJobs(play.view, [right])).toEqual([]);
  expect(codes(findInJobs(play.view, []))).toEqual(['job_missing split']);
  expect(codes(findInJobs(play.view, [right, right]))).toEqual(['job_twice split']);
  const misplaced = ticket(play, 'split', 'MergeExecutionQueue');
  expect(codes(findInJobs(play.view, [misplaced]))).toEqual(['job_stray split', 'job_missing split']);
  expect(codes(findInJobs(play.view, [right, { ...right, stepId: 'nobody' }]))).toEqual(['job_stray -']);
  play.claim('split');
  expect(codes(findInJobs(play.view, [right]))).toEqual(['job_stray split']);
  play.send(play.parked('split'));
  expect(codes(findInJobs(play.view, []))).toEqual(['job_missing split']);
  expect(findInJobs(play.view, [ticket(play, 'split', 'WorkflowExecutionQueue')])).toEqual([]);
});

test('a missing, stray, doubled or wrong input is found', () => {
  const play = halfway();
  const inputs = inputsOf(play);
  expect(codes(findInInputs(play.view, inputs.slice(1)))).toEqual(['input_missing left']);
  expect(codes(findInInputs(play.view, [...inputs, inputs[0]!]))).toEqual(['input_twice -']);
  const early = { stepId: play.state('meet').id, fromStepId: play.state('right').id, live: true };
  expect(codes(findInInputs(play.view, [...inputs, early]))).toEqual(['input_stray meet']);
  const turned = { ...early, fromStepId: play.state('meet').id, stepId: play.state('right').id };
  expect(codes(findInInputs(play.view, [...inputs, turned]))).toEqual(['input_stray -']);
  const dead = inputs.map((input) => ({ ...input, live: false }));
  expect(findInInputs(play.view, dead)).toHaveLength(3);
});

test('a final status that changes, an edge resolved again and a skipped sequence are found', () => {
  const play = halfway();
  const before = snapshot(play.view);
  expect(findInSuccession(before, play.view, false)).toEqual([]);
  play.state('left').status = 'failed';
  play.view.edges[play.view.graph.incoming[play.at('meet')]![0]!.id] = EDGE_OPEN;
  play.view.sequence += 2;
  const found = codes(findInSuccession(before, play.view, true));
  expect(found).toEqual(['sequence_wrong -', 'final_changed left', 'edge_changed meet']);
  const over = { ...before, status: 'failed' as const };
  expect(codes(findInSuccession(over, play.view, true))).toContain('final_changed -');
});
