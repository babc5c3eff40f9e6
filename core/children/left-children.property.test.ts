/**
 * Random lives of steps that start children, against an oracle that knows every child by its step and attempt.
 */
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { buildTemplate } from '../../tests/support/core/graphs.ts';
import { Play } from '../../tests/support/core/play.ts';
import type { Event, WaitResult } from '../event.ts';
import type { Plan } from '../plan.ts';
import { childFailure } from './child-failure.ts';
import { type HowToEnd, leftChildren, startedChildren } from './left-children.ts';

const KEYS = ['a', 'b', 'c'] as const;
type Key = (typeof KEYS)[number];

type Move =
  | { readonly kind: 'start'; readonly key: Key }
  | { readonly kind: 'child ends'; readonly key: Key; readonly attempt: number; readonly how: number }
  | { readonly kind: 'step times out' | 'wakes'; readonly key: Key }
  | { readonly kind: 'cancel' | 'stop' | 'time_out' };

const ENDS = ['completed', 'failed', 'timed_out', 'cancelled'] as const;
const key = fc.constantFrom(...KEYS);
const move: fc.Arbitrary<Move> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('start' as const), key }) },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('child ends' as const),
      key,
      attempt: fc.integer({ min: 1, max: 3 }),
      how: fc.nat(ENDS.length - 1),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constantFrom('step times out' as const, 'wakes' as const), key }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constantFrom('cancel' as const, 'stop' as const, 'time_out' as const) }),
  },
);

/** The children of an execution, as their own rows would have them. */
class Children {
  /** Open, by step and attempt. */
  readonly open = new Set<string>();
  readonly started = new Set<string>();
  readonly told = new Map<string, HowToEnd>();

  readonly play: Play;

  constructor(play: Play) {
    this.play = play;
  }

  take(plan: Plan): void {
    for (const { slot, attempt } of startedChildren(plan)) {
      const name = `${slot}/${attempt}`;
      expect(this.started.has(name)).toBe(false);
      this.started.add(name);
      this.open.add(name);
    }
    const left = leftChildren(plan, () => true);
    if (left === null) return;
    for (const name of this.open) {
      if (left.isAll || left.slots.includes(Number(name.split('/')[0])))
        if (this.told.get(name) !== 'cancel') this.told.set(name, left.how);
    }
  }

  /** Those open children that a step waits for. */
  awaited(): Set<string> {
    const { steps } = this.play.view;
    return new Set(
      [...this.open].filter((name) => {
        const [slot, attempt] = name.split('/').map(Number);
        const state = steps[slot!];
        return state?.status === 'waiting' && state.attempt === attempt;
      }),
    );
  }
}

function eventsOf(play: Play, children: Children, made: Move): Event[] {
  switch (made.kind) {
    case 'cancel':
    case 'stop':
      return [{ type: made.kind, reason: null }];
    case 'time_out':
      return [{ type: 'time_out' }];
    case 'start': {
      const state = play.state(made.key);
      if (state.status !== 'queued') return [];
      play.claim(made.key);
      const { attempt, slot } = state;
      const child = {
        id: `${slot}/${attempt}`,
        templateId: 't',
        requestedVersion: null,
        inputs: { json: '{}' },
      };
      const park = {
        ...(play.parked(made.key, 1_000) as Extract<Event, { type: 'park' }>),
        forMs: null,
        child,
      };
      return [park];
    }
    case 'child ends': {
      const slot = play.at(made.key);
      const childId = `${slot}/${made.attempt}`;
      if (!children.started.has(childId)) return [];
      children.open.delete(childId);
      const failure = childFailure(childId, { status: ENDS[made.how]!, error: null });
      const result: WaitResult = failure ?? { output: { json: '1' } };
      return [{ type: 'child_ended', slot, attempt: made.attempt, childId, result, random: 0 }];
    }
    case 'step times out':
      return [play.timedOut(made.key)];
    case 'wakes':
      return play.state(made.key).status === 'retrying' ? [play.woken(made.key)] : [];
  }
}

test('a child that nobody waits for is told to end, and only that one', () => {
  fc.assert(
    fc.property(fc.array(move, { minLength: 1, maxLength: 40 }), fc.boolean(), (moves, goesOn) => {
      const step = { retry: { limit: 2, delayMs: 0 } };
      const template = buildTemplate({ a: step, b: step, c: step });
      const play = Play.begun({ ...template, onFailure: goesOn ? 'continue' : 'stop' });
      const children = new Children(play);
      for (const made of moves) {
        const before = play.view.status;
        const events = eventsOf(play, children, made);
        if (events.length === 0) continue;
        children.take(play.send(...events));
        const awaited = children.awaited();
        for (const name of children.open)
          expect([name, children.told.has(name)]).toEqual([name, !awaited.has(name)]);
        if (made.kind === 'cancel' && before === 'running')
          for (const name of children.open) expect(children.told.get(name)).toBe('cancel');
      }
    }),
    { numRuns: 2_000 },
  );
});

test('the end of a child counts for the attempt that started it alone', () => {
  const play = Play.begun(buildTemplate({ a: { retry: { limit: 1, delayMs: 0 } } }));
  const children = new Children(play);
  const take = (made: Move) => children.take(play.send(...eventsOf(play, children, made)));
  take({ kind: 'start', key: 'a' });
  take({ kind: 'step times out', key: 'a' });
  take({ kind: 'wakes', key: 'a' });
  take({ kind: 'start', key: 'a' });
  take({ kind: 'child ends', key: 'a', attempt: 1, how: 0 });
  expect(play.state('a')).toMatchObject({ status: 'waiting', attempt: 2 });
  take({ kind: 'child ends', key: 'a', attempt: 2, how: 0 });
  expect(play.state('a').status).toBe('completed');
});

test('a step that ends in the transition that parks it starts no child', () => {
  const play = Play.begun(buildTemplate({ a: {} }));
  const children = new Children(play);
  const [park] = eventsOf(play, children, { kind: 'start', key: 'a' });
  const plan = play.send(park!, { type: 'cancel', reason: null });
  expect(startedChildren(plan)).toEqual([]);
});
