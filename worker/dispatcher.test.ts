/** Which ready steps the slots of a process are offered. */
import { expect, test } from 'bun:test';
import { compileGraph } from '../core/graph.ts';
import { transition } from '../core/transition.ts';
import { emptyView } from '../core/view.ts';
import type { Actor } from '../services/actor.ts';
import { ActorTable } from '../services/actor-table.ts';
import type { TemplateVersion } from '../services/template-version.ts';
import { fanOut } from '../tests/support/graphs.ts';
import type { Attempt } from './attempt.ts';
import { Dispatcher } from './dispatcher.ts';

const GRAPH = compileGraph(fanOut(3));
const STEPS = GRAPH.steps.map(() => ({ limits: null, fault: null, type: { type: 'noop' } }));
const VERSION = { graph: GRAPH, steps: STEPS, hasLimits: false } as unknown as TemplateVersion;

function begun(): Actor {
  let made = 0;
  const view = emptyView('e', GRAPH);
  transition(view, [{ type: 'begin' }], () => `step-${made++}`);
  return Object.assign(new ActorTable().get('e'), { view, version: VERSION });
}

const dispatcher = () =>
  new Dispatcher('engine', 10, {
    canRunAll: () => true,
    canRun: () => true,
    start: () => null as unknown as Attempt,
  });

test('a ready step is taken once, however often it is offered', () => {
  const slots = dispatcher();
  const actor = begun();
  const [root] = GRAPH.roots;
  slots.offer(actor, [root!, root!]);
  slots.offer(actor, [root!]);
  expect(slots.take()).toMatchObject({ position: root! });
  expect(slots.take()).toBeNull();
});

test('a step that only a plan made ready that was not committed is passed over', () => {
  const slots = dispatcher();
  const actor = begun();
  const notThere = GRAPH.steps.findIndex((_, position) => actor.view!.steps[position] === undefined);
  expect(notThere).toBeGreaterThanOrEqual(0);
  slots.offer(actor, [notThere]);
  expect(slots.take()).toBeNull();
  expect(slots.spare).toBe(10);
});
