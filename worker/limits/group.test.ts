/** The line of steps that share their limits: who may ask, and when. */
import { beforeEach, expect, test } from 'bun:test';
import { compileGraph } from '../../core/graph.ts';
import { transition } from '../../core/transition.ts';
import { emptyView } from '../../core/view.ts';
import type { Loaded } from '../../door/actor.ts';
import { Actors } from '../../door/actors.ts';
import type { TemplateVersion } from '../../template/version.ts';
import { fanOut } from '../../tests/support/core/graphs.ts';
import { type LimitGroup, LimitGroups } from './group.ts';
import { LimitedStep } from './limited-step.ts';

const GRAPH = compileGraph(fanOut(30));

let groups: LimitGroups;
let made = 0;

beforeEach(() => {
  groups = new LimitGroups();
});

function loadedOf(id: string, priority = 0): Loaded {
  const view = emptyView(id, GRAPH);
  transition(view, [{ type: 'begin' }], () => `step-${made++}`);
  const facts = {
    version: {} as TemplateVersion,
    workspaceId: null,
    priority,
    callbackUrl: null,
    parent: null,
  };
  return new Actors().get(id).load(facts, view);
}

/** A root of an execution of its own, held with a limit. */
function held(id: string, limit: number, priority = 0): LimitedStep {
  const step = new LimitedStep({ loaded: loadedOf(id, priority), slot: GRAPH.roots[0]! });
  step.concurrency = { id: 'k', key: 'k', limit, perMs: null };
  groups.join(step, ['k']);
  return step;
}

const group = (): LimitGroup => [...groups.all()][0]!;

function drain(): string[] {
  const ids: string[] = [];
  for (let step = group().next(); step !== null; step = group().next()) ids.push(step.loaded.id);
  return ids;
}

test('members ask by priority, then start time, and no more of them than the limit', () => {
  for (const id of ['c', 'a', 'b']) held(id, 2);
  held('z', 2, 5);
  expect(drain()).toEqual(['z', 'a']);
  group().outstanding -= 1;
  expect(drain()).toEqual(['b']);
  expect(group().heldCount).toBe(1);
});

test('after a no nobody asks until something has changed, and then as many as changed', () => {
  const steps = ['a', 'b', 'c', 'd'].map((id) => held(id, 4));
  const first = group().next()!;
  first.askedAt = group().changes;
  group().outstanding -= 1;
  group().block(first.askedAt);
  group().hold(first);
  expect(drain()).toEqual([]);
  group().probe(2);
  expect(drain()).toEqual(['a', 'b']);
  expect(steps.filter(({ stage }) => stage === 'held')).toHaveLength(2);
});

test('what changed between the question and the answer is not forgotten', () => {
  held('a', 1);
  const asked = group().next()!;
  asked.askedAt = group().changes;
  group().probe(1);
  group().outstanding -= 1;
  group().block(asked.askedAt);
  group().hold(asked);
  expect(drain()).toEqual(['a']);
});

test('members that are gone are passed over, and their entries do not pile up', () => {
  const steps = Array.from({ length: 500 }, (_, at) => held(`e${at}`, 1_000));
  for (const step of steps.slice(0, 499)) {
    step.removed = true;
    group().forgetHeld();
  }
  expect(group().heldCount).toBe(1);
  expect(drain()).toEqual(['e499']);
});

test('a group is found by each of its limits until it is deleted', () => {
  const step = new LimitedStep({ loaded: loadedOf('a'), slot: GRAPH.roots[0]! });
  groups.join(step, ['k', 'r']);
  expect(
    [groups.sharing(['k']), groups.sharing(['r']), groups.sharing(['k', 'r'])].map(({ size }) => size),
  ).toEqual([1, 1, 1]);
  groups.delete(group());
  expect([groups.size, groups.sharing(['k', 'r']).size, groups.of(step)]).toEqual([0, 0, null]);
});

test('a member that left the line is not held any more, so one that is gone frees its place among those that ask', () => {
  held('a', 1);
  expect(group().next()!.stage).toBe('ready');
  expect([group().heldCount, group().outstanding]).toEqual([0, 1]);
});

test('nobody asks while as many run here as the limit allows', () => {
  for (const id of ['a', 'b', 'c']) held(id, 2);
  for (const id of ['x', 'y']) groups.running.begun(id, ['k']);
  expect(drain()).toEqual([]);
  groups.running.ended('x');
  expect(drain()).toEqual(['a']);
  group().outstanding -= 1;
  groups.running.keep((id) => id !== 'y');
  expect(drain()).toEqual(['b', 'c']);
});
