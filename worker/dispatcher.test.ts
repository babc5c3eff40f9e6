/** Which ready steps the slots of a process are offered. */
import { expect, test } from 'bun:test';
import { compileGraph } from '../core/graph.ts';
import { transition } from '../core/transition.ts';
import { emptyView } from '../core/view.ts';
import type { Actor } from '../door/actor.ts';
import { ActorTable } from '../door/actors.ts';
import type { TemplateVersion } from '../template/version.ts';
import { fanOut } from '../tests/support/core/graphs.ts';
import type { Attempt } from './attempt.ts';
import { Dispatcher } from './dispatcher.ts';

const GRAPH = compileGraph(fanOut(3));
const STEPS = GRAPH.steps.map(() => ({ limits: null, fault: null, type: { type: 'noop' } }));
const VERSION = { graph: GRAPH, steps: STEPS, hasLimits: false } as unknown as TemplateVersion;

function begun(id = 'e', version = VERSION): Actor {
  let made = 0;
  const view = emptyView(id, GRAPH);
  transition(view, [{ type: 'begin' }], () => `${id}-step-${made++}`);
  return Object.assign(new ActorTable().get(id), { view, version });
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

test('a step that cannot be run any more when its turn comes is dropped, and the next one takes its turn', () => {
  const type = { type: 'script', sandboxed: true };
  const version = {
    ...VERSION,
    steps: STEPS.map((step) => ({ ...step, type })),
  } as unknown as TemplateVersion;
  const lost = new Set<string>();
  // Half of two slots are for sandboxed steps: they go one after the other.
  const slots = new Dispatcher('engine', 2, {
    canRunAll: () => false,
    canRun: ({ id }) => !lost.has(id),
    start: () => null as unknown as Attempt,
  });
  const [root] = GRAPH.roots;
  for (const id of ['a', 'b', 'c']) slots.offer(begun(id, version), [root!]);
  const first = slots.take();
  expect([first?.actor.id, slots.take()]).toEqual(['a', null]);
  lost.add('b');
  slots.refund(first!.actor, root!);
  expect(slots.take()?.actor.id).toBe('c');
  expect(slots.isOffered('b-step-0')).toBe(false);
});
