/**
 * Holds an explanation against the model: what it says must happen next does happen in a copy of the view, and then the step is
 * not what it was. The surroundings are drawn, and judged by rules of the oracle's own.
 */
import assert from 'node:assert/strict';
import type { Event, WaitingFor } from '../../../core/event.ts';
import { Explanation, MAX_MISSING } from '../../../core/explain/explain.ts';
import type { EngineFacts, LimitFacts, Reason } from '../../../core/explain/reason.ts';
import type { Situation, StepFacts } from '../../../core/explain/situation.ts';
import { upstreamOf } from '../../../core/graph.ts';
import { isFinalExecution, isFinalStep } from '../../../core/status.ts';
import { transition } from '../../../core/transition.ts';
import type { ExecutionView, StepState } from '../../../core/view.ts';
import { ROUTES } from './route-names.ts';
import type { Luck } from './seeded-random.ts';

const OWNERS = ['engine-1', 'engine-2'];
const ANSWERS: readonly WaitingFor[] = [
  { kind: 'signal', name: 'go' },
  { kind: 'form', title: 'Ok?' },
  { kind: 'webhook' },
  { kind: 'task', queue: 'q', claimed_by: null },
];
const NOW = 1_000_000;

/** Returns the situation of a view, with surroundings by chance. */
export function situationOf(view: ExecutionView, luck: Luck): Situation {
  const engines = OWNERS.filter(() => luck.chance(0.8)).map((id) => engineBy(id, luck));
  const queued = view.steps.filter((state) => state?.status === 'queued');
  const limits = new Map(
    queued.map((state): [string, readonly LimitFacts[] | null] => [
      state!.id,
      luck.chance(0.2) ? null : Array.from({ length: luck.below(3) }, () => limitBy(luck)),
    ]),
  );
  return {
    view,
    execution: {
      startAt: view.status === 'pending' && luck.chance(0.3) ? NOW : null,
      position: luck.chance(0.5) ? 1 + luck.below(9) : null,
      paused: view.status === 'paused' && luck.chance(0.5) ? { sinceMs: NOW, by: null } : null,
      stopRequestedAt: view.stopRequested === null ? null : NOW,
      graceEndsAt: view.stopRequested === null ? null : NOW + 10_000,
    },
    steps: view.steps.map((state) => state && stepFacts(state, luck)),
    around: {
      engines,
      types: [...new Set(view.graph.steps.map(({ type }) => type))],
      slotHolders: [],
      limits,
      children: new Map(),
      openScopes: new Map(),
      leases: new Map(),
      incidents: new Map(),
    },
  };
}

function stepFacts({ status }: StepState, luck: Luck): StepFacts {
  const isAnswered = status === 'waiting' && luck.chance(0.5);
  return {
    sinceMs: NOW,
    waitingFor: isAnswered ? ANSWERS[luck.below(ANSWERS.length)]! : null,
    timerAt: status === 'retrying' || status === 'waiting' ? NOW : null,
    deadlineAt: null,
    error: status === 'retrying' ? { code: 'boom', message: 'It failed.' } : null,
  };
}

function engineBy(id: string, luck: Luck): EngineFacts {
  const isAlive = luck.chance(0.8);
  const stepTypes = luck.chance(0.3) ? null : ['noop', 'switch', 'http'].filter(() => luck.chance(0.8));
  const capacity = luck.below(3);
  const isLate = !isAlive || luck.chance(0.2);
  return {
    id,
    host: 'host',
    pid: 7,
    capacity,
    used: luck.below(3),
    stepTypes,
    heardAt: NOW,
    isAlive,
    isLate,
    deadAt: NOW,
  };
}

function limitBy(luck: Luck): LimitFacts {
  const limit = 1 + luck.below(2);
  const perMs = luck.chance(0.5) ? 60_000 : null;
  return { key: 'key', limit, perMs, used: luck.below(3), freeInMs: null, holders: [], position: null };
}

/** Every step that is not final has one reason, and what the reason names changes the step. */
export function checkExplanation(situation: Situation, told: (reason: Reason, slot: number) => void): void {
  const { view } = situation;
  const explanation = new Explanation(situation);
  const unfinished = new Set(explanation.unfinished());
  for (const [slot, { key }] of view.graph.steps.entries()) {
    const state = view.steps[slot];
    const isOpen = state === undefined ? slot < view.graph.size : !isFinalStep(state.status);
    assert.equal(unfinished.has(slot), isOpen && !isFinalExecution(view.status), `${key} is explained`);
  }
  for (const slot of unfinished) {
    const reason = explanation.reasonOf(slot);
    checkHold(situation, slot, reason);
    const own = reason.kind === 'paused' || reason.kind === 'stop' ? reason.own : reason;
    checkOwn(situation, slot, own);
    checkNext(view, slot, reason, own);
    told(reason, slot);
  }
}

function checkHold({ view, steps }: Situation, slot: number, { kind }: Reason): void {
  const isUndoing = slot >= view.graph.size;
  const windsDown = !isUndoing && (view.status === 'compensating' || view.stopRequested !== null);
  const state = view.steps[slot];
  const hasNotBegun = view.steps.every((each) => each === undefined);
  const wait = steps[slot]?.waitingFor;
  const isFree = state?.status === 'waiting' && wait?.kind === 'task' && wait.claimed_by === null;
  const isHeld =
    !isUndoing && view.status === 'paused' && (hasNotBegun || state?.status === 'queued' || isFree);
  assert.equal(kind === 'stop', windsDown, 'a stop comes first');
  assert.equal(kind === 'paused', !windsDown && isHeld, 'then a pause');
}

/** The reason fits the status of the step, and for a queued one the first of the rules that holds. */
function checkOwn({ view, around, execution }: Situation, slot: number, own: Reason): void {
  const state = view.steps[slot];
  const alive = around.engines.filter(({ isAlive, capacity }) => isAlive && capacity > 0);
  const has = (engine: EngineFacts, type: string) =>
    engine.stepTypes === null || engine.stepTypes.includes(type);
  if (view.status === 'pending' || view.steps.every((each) => each === undefined)) {
    const all = alive.some((engine) => around.types.every((type) => has(engine, type)));
    const wanted =
      execution.startAt !== null || all ? 'start' : alive.length === 0 ? 'no_engine' : 'step_type';
    assert.equal(own.kind, wanted);
    return;
  }
  switch (state?.status) {
    case undefined:
    case 'waiting_inputs':
      assert.equal(own.kind, 'inputs');
      return;
    case 'queued': {
      const { type, concurrency } = view.graph.steps[slot]!;
      const limits = around.limits.get(state.id);
      const isFull = limits?.some(({ used, limit }) => used >= limit) === true;
      const rules: [boolean, Reason['kind']][] = [
        [alive.length === 0, 'no_engine'],
        [!alive.some((engine) => has(engine, type)), 'step_type'],
        [limits === null && concurrency !== null, 'hidden_limit'],
        [isFull, 'limit'],
        [true, 'slot'],
      ];
      assert.equal(own.kind, rules.find(([holds]) => holds)![1]);
      return;
    }
    case 'running': {
      const engine = around.engines.find(({ id }) => id === state.owner);
      const isHeard = engine?.isAlive === true && !engine.isLate;
      assert.equal(own.kind, isHeard ? 'running' : 'silent_engine');
      return;
    }
    case 'retrying':
      assert.equal(own.kind, 'retry');
      return;
    default:
      assert(own.kind === 'timer' || own.kind === 'answer');
      return;
  }
}

/** What the reason names happens in a copy of the view: then the step is not what it was. */
function checkNext(view: ExecutionView, slot: number, reason: Reason, own: Reason): void {
  const copy = copyOf(view);
  // The hold on the step is lifted first: a pause by a resume, a stop by its end. Whatever brings inputs may be held back too.
  const isPaused = reason.kind === 'paused' || (own.kind === 'inputs' && view.status === 'paused');
  if (reason.kind === 'stop') happen(copy, { type: 'stop_overdue' });
  else if (isPaused) happen(copy, { type: 'resume', by: null });
  if (own.kind === 'inputs' && reason.kind !== 'stop') checkInputs(view, copy, slot, own);
  else if (reason.kind !== 'stop') happen(copy, eventOf(copy.steps[slot], slot, own));
  const { status, sequence } = copy.steps[slot] ?? {};
  const before = view.steps[slot];
  const isRoot = view.graph.incoming[slot]!.length === 0;
  if (own.kind === 'start' || (view.status === 'pending' && !isRoot)) assert.equal(copy.status, 'running');
  else
    assert.notDeepEqual(
      [status, sequence],
      [before?.status, before?.sequence],
      `${view.graph.steps[slot]!.key}: ${own.kind} changes nothing`,
    );
}

function checkInputs(
  view: ExecutionView,
  copy: ExecutionView,
  slot: number,
  { missing, missingCount }: Extract<Reason, { kind: 'inputs' }>,
): void {
  const isSettled = (state: StepState | undefined) =>
    state !== undefined && isFinalStep(state.status) && (state.status !== 'cancelled' || state.lost);
  const producers = view.graph.incoming[slot]!.map(({ from }) => from);
  const open = producers.filter((from) => !isSettled(view.steps[from]));
  assert(open.length > 0, 'inputs are missing');
  assert.equal(missingCount, open.length);
  assert.deepEqual(
    missing.map((each) => each.slot),
    open.slice(0, MAX_MISSING),
  );
  const before = new Set(upstreamOf(view.graph, slot));
  const next = missing.flatMap((each) =>
    each.own === null ? each.before.map(({ slot: other }) => other) : [each.slot],
  );
  assert(next.length > 0, 'something can still bring the inputs');
  for (const each of next) {
    const { status } = view.steps[each]!;
    assert(before.has(each) && !isFinalStep(status) && status !== 'waiting_inputs', 'and has begun');
  }
  // Whatever is before the step completes: then its join is decided.
  for (let rounds = 0; rounds < 1_000; rounds += 1) {
    const state = copy.steps.find(
      (each) =>
        each !== undefined &&
        before.has(each.slot) &&
        !isFinalStep(each.status) &&
        each.status !== 'waiting_inputs',
    );
    if (state === undefined || copy.status !== 'running') return;
    happen(copy, completionOf(state));
  }
  assert.fail('the inputs do not come');
}

function completionOf(state: StepState): Event {
  const { slot, status, attempt, sequence, owner } = state;
  if (status === 'queued') return { type: 'claim', slot, owner: OWNERS[0]! };
  if (status === 'running') {
    const claim = { attempt, owner: owner! };
    return { type: 'complete', slot, claim, output: { json: '1' }, routes: ROUTES };
  }
  return { type: 'wake', slot, attempt, sequence, purpose: 'resume', random: 0 };
}

function eventOf(state: StepState | undefined, slot: number, own: Reason): Event {
  if (state === undefined) return { type: 'begin' };
  const { attempt, sequence, owner } = state;
  if (own.kind === 'answer')
    return {
      type: 'answer',
      slot,
      attempt,
      sequence,
      id: 'id',
      result: { output: { json: '1' } },
      random: 0,
    };
  if (own.kind === 'silent_engine') return { type: 'rescue', slot, claim: { attempt, owner: owner! } };
  return completionOf(state);
}

function happen(view: ExecutionView, event: Event): void {
  let ids = 0;
  const { late } = transition(view, [event], () => `new-${ids++}`);
  assert.deepEqual(late, [], `${event.type} is possible`);
}

function copyOf(view: ExecutionView): ExecutionView {
  return {
    ...view,
    steps: view.steps.map((state) => state && structuredClone(state)),
    edges: view.edges.slice(),
  };
}
