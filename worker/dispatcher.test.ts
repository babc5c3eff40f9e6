/** The ready steps for which a process reserves its capacity. */
import { expect, test } from 'bun:test';
import { compileGraph } from '../core/graph.ts';
import { transition } from '../core/transition.ts';
import { emptyView } from '../core/view.ts';
import type { Loaded } from '../door/actor.ts';
import { Actors } from '../door/actors.ts';
import type { ReservedStep } from '../door/capacity.ts';
import type { TemplateVersion } from '../template/version.ts';
import { fanOut } from '../tests/support/core/graphs.ts';
import type { Attempt } from './attempt.ts';
import { Dispatcher } from './dispatcher.ts';

const GRAPH = compileGraph(fanOut(3));
const STEPS = GRAPH.steps.map(() => ({
  limits: null,
  fault: null,
  sandboxed: false,
  type: { type: 'noop' },
}));
const VERSION = { graph: GRAPH, steps: STEPS, hasLimits: false } as unknown as TemplateVersion;

function begun(id = 'e', version = VERSION): Loaded {
  let made = 0;
  const view = emptyView(id, GRAPH);
  transition(view, [{ type: 'begin' }], () => `${id}-step-${made++}`);
  const facts = { version, workspaceId: null, priority: 0, callbackUrl: null, parent: null };
  return new Actors().get(id).load(facts, view);
}

const NO_BACKLOG = { isWaiting: false };
const dispatcher = () =>
  new Dispatcher(
    'engine',
    10,
    { canRunAll: () => true, canRun: () => true, start: () => null as unknown as Attempt },
    NO_BACKLOG,
  );

test('a ready step is taken once, however often it is offered', () => {
  const capacity = dispatcher();
  const loaded = begun();
  const [root] = GRAPH.roots;
  capacity.offer(loaded, [root!, root!]);
  capacity.offer(loaded, [root!]);
  expect(capacity.reserve()).toMatchObject({ slot: root! });
  expect(capacity.reserve()).toBeNull();
});

test('a step that only a plan made ready that was not committed is passed over', () => {
  const capacity = dispatcher();
  const loaded = begun();
  const notThere = GRAPH.steps.findIndex((_, slot) => loaded.view.steps[slot] === undefined);
  expect(notThere).toBeGreaterThanOrEqual(0);
  capacity.offer(loaded, [notThere]);
  expect(capacity.reserve()).toBeNull();
  expect(capacity.spare).toBe(10);
});

test('a step that cannot be run any more when its turn comes is dropped, and the next one takes its turn', () => {
  const version = {
    ...VERSION,
    steps: STEPS.map((step) => ({ ...step, sandboxed: true })),
  } as unknown as TemplateVersion;
  const lost = new Set<string>();
  // Half of the capacity is for sandboxed steps: they go one after the other.
  const starter = {
    canRunAll: () => false,
    canRun: ({ loaded }: ReservedStep) => !lost.has(loaded.id),
    start: () => null as unknown as Attempt,
  };
  const capacity = new Dispatcher('engine', 2, starter, NO_BACKLOG);
  const [root] = GRAPH.roots;
  for (const id of ['a', 'b', 'c']) capacity.offer(begun(id, version), [root!]);
  const first = capacity.reserve();
  expect([first?.loaded.id, capacity.reserve()]).toEqual(['a', null]);
  lost.add('b');
  capacity.refund(first!);
  expect(capacity.reserve()?.loaded.id).toBe('c');
  expect(capacity.isOffered('b-step-0')).toBe(false);
});
