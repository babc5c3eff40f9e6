/**
 * Forks and migrations at random moments of random executions: what a fork reuses is what the rule says, written down a second
 * time and slowly; after either every invariant holds, and the execution comes to an end.
 */
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { cases } from '../../tests/support/core/cases.ts';
import { templates } from '../../tests/support/core/graphs.ts';
import { ROUTES } from '../../tests/support/core/route-names.ts';
import { Luck } from '../../tests/support/core/seeded-random.ts';
import { compileGraph, type Graph } from '../graph.ts';
import { findInView } from '../invariants.ts';
import { isFinalExecution } from '../status.ts';
import { transition } from '../transition.ts';
import { type ExecutionView, emptyView } from '../view.ts';
import { planFork } from './fork.ts';
import { isMisfit, planMigration } from './migrate.ts';

let ids = 0;
const newId = () => `id-${++ids}`;

/** Ends up to so many steps, each by completion or failure. */
function play(view: ExecutionView, luck: Luck, moves: number): void {
  for (let move = 0; move < moves && !isFinalExecution(view.status); move += 1) {
    const ready = view.steps.filter((state) => state?.status === 'queued' || state?.status === 'running');
    if (ready.length === 0) return;
    const state = ready[luck.below(ready.length)]!;
    const { slot } = state;
    if (state.status === 'queued') {
      transition(view, [{ type: 'claim', slot, owner: 'engine' }], newId);
      if (luck.chance(0.2)) continue;
    }
    const claim = { attempt: state.attempt, owner: 'engine', stepId: state.id };
    if (luck.chance(0.25)) {
      const error = { code: 'boom', message: 'boom', details: null };
      const failed = { slot, claim, error, retryable: false, retryAfterMs: null, begun: true, random: 0 };
      transition(view, [{ type: 'fail', ...failed }], newId);
    } else {
      const routes = luck.chance(0.5) ? [ROUTES[0]!] : [...ROUTES];
      transition(view, [{ type: 'complete', slot, claim, output: { json: '1' }, routes }], newId);
    }
  }
}

function begun(graph: Graph): ExecutionView {
  const view = emptyView('execution', graph);
  transition(view, [{ type: 'begin' }], newId);
  return view;
}

function end(view: ExecutionView, luck: Luck): void {
  if (!isFinalExecution(view.status)) transition(view, [{ type: 'reconsider' }], newId);
  play(view, luck, 1_000);
  expect(isFinalExecution(view.status)).toBe(true);
  expect(findInView(view)).toEqual([]);
}

/** The rule, as it is told: by recursion, from each step back to the roots. */
function isReused(view: ExecutionView, slot: number, from: number): boolean {
  const { graph, steps } = view;
  const status = steps[slot]?.status;
  const isOver =
    status === 'completed' || status === 'skipped' || (status === 'failed' && graph.handlesFailure[slot]);
  return (
    slot !== from && isOver === true && graph.incoming[slot]!.every((edge) => isReused(view, edge.from, from))
  );
}

test('a fork reuses what the rule says, and ends', () => {
  fc.assert(
    fc.property(templates(7), fc.nat(), fc.nat(20), fc.nat(6), (template, seed, moves, place) => {
      const luck = new Luck(seed, 12);
      const graph = compileGraph(template);
      const source = begun(graph);
      play(source, luck, moves);
      const from = place % graph.size;
      const request = { from, outputs: new Map(), notCompensatedInside: new Set<string>() };
      const { reused } = planFork(source, graph, request);
      const told = reused.map((step) => step.slot).sort((a, b) => a - b);
      expect(told).toEqual([...Array(graph.size).keys()].filter((slot) => isReused(source, slot, from)));
      const fork = emptyView('fork', graph);
      transition(fork, [{ type: 'begin_fork', reused }], newId);
      for (const { slot, status } of reused) expect(fork.steps[slot]!.status).toBe(status);
      end(fork, luck);
    }),
    cases(2_000),
  );
});

test('an execution that moves to another version keeps what is over, and ends', () => {
  fc.assert(
    fc.property(templates(7), templates(7), fc.nat(), fc.nat(20), (template, other, seed, moves) => {
      const luck = new Luck(seed, 12);
      const view = begun(compileGraph(template));
      play(view, luck, moves);
      if (isFinalExecution(view.status)) return;
      const before = new Map(
        view.steps.flatMap((state) => (state === undefined ? [] : [[state.id, state.status]])),
      );
      const moved = planMigration(view, compileGraph(other), new Map(), newId);
      if (isMisfit(moved)) return;
      const now = moved.plan.view;
      for (const { state } of moved.moved)
        if (before.get(state.id) !== 'waiting_inputs') expect(state.status).toBe(before.get(state.id)!);
      if (!moved.plan.looksAgain) expect(findInView(now)).toEqual([]);
      end(now, luck);
    }),
    cases(2_000),
  );
});
