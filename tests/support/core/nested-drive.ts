/**
 * Drives an execution whose steps hold scopes, which hold scopes in their turn, in a random order, and holds every
 * commit of every view against an oracle of its own.
 *
 * The ends of scopes reach their holder as the door brings them: in the commit of the end, or as rows of an inbox that a
 * later commit folds, several at once. Ends from above fold the inbox first, then end what is open below, from the
 * bottom up. Scopes that are undone come to life again by a ticket. The numbers of a holder are held against the scopes that there are.
 */
import assert from 'node:assert/strict';
import { countStopped } from '../../../core/ending.ts';
import type { EndedScope, Event, ScopesUndone } from '../../../core/event.ts';
import { mayOpenMore } from '../../../core/hold/held-back.ts';
import type { Plan } from '../../../core/plan.ts';
import { countEnds, type HeldScopes } from '../../../core/scopes/held-scopes.ts';
import { outboxOf } from '../../../core/scopes/outbox.ts';
import { runPath } from '../../../core/scopes/step-path.ts';
import { transition } from '../../../core/transition.ts';
import type { ExecutionView, ScopeRef, StepState } from '../../../core/view.ts';
import type { Fact, StepFact } from './facts.ts';
import { type Ends, type Holding, type NestedTemplate, NestedView } from './nested-view.ts';
import { Luck } from './seeded-random.ts';
import { stepEvent } from './step-event.ts';

export interface NestedDriveOptions {
  readonly seed: number;
  /** Cancels, stops and timeouts as well. */
  readonly wild: boolean;
}

/** Facts after which a view may be over, or a step may end with scopes open. */
const ENDING = new Set<Fact['fact']>(['failed', 'timed out', 'cancel', 'time out', 'stop', 'stop overdue']);
const MAX_ROUNDS = 20_000;

export class NestedDrive {
  readonly top: NestedView;
  readonly #luck: Luck;
  readonly #wild: boolean;
  #ids = 0;
  #isCancelled = false;

  constructor(nested: NestedTemplate, { seed, wild }: NestedDriveOptions) {
    this.#luck = new Luck(seed, 10);
    this.#wild = wild;
    this.top = new NestedView(nested, null, null);
  }

  /** To the end of the execution. */
  run(): void {
    this.#commit(this.top, [{ type: 'begin' }], [{ fact: 'begin' }]);
    for (let round = 0; !this.top.isFinal; round++) {
      assert(round < MAX_ROUNDS, 'the execution does not end');
      this.#round();
    }
    for (const node of this.top.all) {
      assert(node.isFinal, `${node.view.scope?.path ?? 'the execution'} is still ${node.view.status}`);
      node.checks.checkEnd();
      this.#checkNumbers(node);
      this.#checkUndone(node);
    }
  }

  #round(): void {
    if (this.#wild && this.#luck.mishap(0.01)) {
      this.#endFromAbove();
      return;
    }
    if (this.#wild && this.#luck.chance(this.top.view.status === 'paused' ? 0.1 : 0.02)) {
      this.#disturb();
      return;
    }
    const nodes = this.top.all.filter((node) => !node.isFinal);
    const node = nodes[this.#luck.below(nodes.length)]!;
    if (node.hasTicket) {
      node.hasTicket = false;
      this.#commit(node, [{ type: 'reconsider' }], [{ fact: 'undo' }]);
      return;
    }
    if (this.#luck.chance(0.05)) this.#repeat(node);
    if (node.inbox.length > 0 && this.#luck.chance(0.5)) {
      this.#fold(node);
      return;
    }
    const states = node.view.steps.filter((state) => state !== undefined);
    const state = states[this.#luck.below(states.length)];
    if (state !== undefined) this.#act(node, state);
  }

  /** Pauses or resumes the execution. Whoever decides in a scope after that knows of it. */
  #disturb(): void {
    const { top } = this;
    const fact = top.view.status === 'paused' ? 'resume' : 'pause';
    this.#commit(top, [{ type: fact, by: null }], [{ fact }]);
    if (top.isFinal || (top.view.status === 'paused') !== (fact === 'pause')) return;
    for (const node of top.all) {
      if (node === top || node.isFinal) continue;
      node.hold(fact);
      const { steps } = node.view;
      if (fact === 'resume' && steps.some((state) => state !== undefined && mayOpenMore(state)))
        this.#commit(node, [{ type: 'reconsider' }], []);
    }
  }

  /** An end of an earlier run, or of a holder that goes on already, is late. */
  #repeat(node: NestedView): void {
    const old = node.heard[this.#luck.below(node.heard.length)];
    const state = old === undefined ? undefined : node.view.steps[old.slot];
    if (old === undefined || (state!.held!.run === old.run && hears(node.view, state!))) return;
    const before = structuredClone(state);
    const plan = transition(node.view, [old], () => 'none');
    assert.deepEqual(plan.late, [old], 'an old end is late');
    assert.equal(plan.changed, false);
    assert.deepEqual(state, before);
  }

  /** One event of one step. */
  #act(node: NestedView, state: StepState): void {
    const { slot } = state;
    const key = node.view.graph.steps[slot]!.key;
    const fact = this.#nextFact(node, state, key);
    if (fact !== null) this.#commit(node, [this.#eventOf(node, fact, slot)], [fact]);
  }

  #nextFact(node: NestedView, state: StepState, key: string): StepFact | null {
    if (state.status === 'queued') return { fact: 'claimed', key };
    if (state.status === 'retrying') return { fact: 'retry due', key };
    const holding = node.holdings.get(state.slot);
    if (state.status === 'waiting') {
      if (holding === undefined) return { fact: 'resumed', key };
      return this.#wild && this.#luck.mishap(0.1) ? { fact: 'timed out', key } : null;
    }
    if (state.status !== 'running') return null;
    if (this.#luck.mishap(0.05)) return { fact: this.#luck.chance(0.5) ? 'released' : 'lost', key };
    const parks = holding !== undefined && (this.#hasMore(holding) || isNewAttempt(holding, state));
    const opens =
      node.view.status !== 'paused' &&
      holding !== undefined &&
      this.#hasMore(holding) &&
      holding.holder.rounds[holding.round]! > 0;
    return parks ? { fact: 'parked', key, holds: true, opens } : node.acting.get(key)!.next(key);
  }

  #hasMore({ round, holder }: Holding): boolean {
    return round < holder.rounds.length;
  }

  #eventOf(node: NestedView, fact: StepFact, slot: number): Event {
    const state = node.view.steps[slot]!;
    const random = this.#luck.random();
    if (fact.fact === 'parked') return this.#parkEvent(node, state, fact.holds ?? false);
    return stepEvent(fact, state, { owner: 'engine', random });
  }

  #parkEvent(node: NestedView, state: StepState, holds: boolean): Event {
    const { slot, attempt, owner } = state;
    const park = {
      type: 'park',
      slot,
      claim: { attempt, owner: owner! },
      state: null,
      timeoutMs: 5000,
    } as const;
    if (!holds) return { ...park, forMs: 1000, waitingFor: null };
    const holding = node.holdings.get(slot)!;
    const { rounds, concurrency, tolerated } = holding.holder;
    const isNewRun = isNewAttempt(holding, state);
    const count = this.#hasMore(holding) ? rounds[holding.round]! : 0;
    const scopes = { count, concurrency, tolerated };
    const event = { ...park, forMs: null, waitingFor: { kind: 'scopes' } } as const;
    if (!isNewRun) return { ...event, scopes };
    const again = [...holding.scopes]
      .filter(([, { view }]) => view.status !== 'completed')
      .map(([index]) => index);
    return { ...event, scopes: { ...scopes, again } };
  }

  /** Reads the inbox, or the first rows of it. */
  #fold(node: NestedView): void {
    const rows = node.inbox.splice(0, 1 + this.#luck.below(node.inbox.length));
    this.#commit(node, merged(rows), []);
  }

  /**
   * A commit of one view, with the facts that its events tell. A plan that ends what is open below is made with the
   * whole inbox, which nothing is added to any more: the scopes are locked.
   */
  #commit(node: NestedView, events: readonly Event[], facts: readonly Fact[]): void {
    const races = node.view.graph.mayLose !== null;
    const ends =
      races ||
      node.view.status === 'compensating' ||
      facts.some(({ fact }) => ENDING.has(fact)) ||
      events.some(hasFailure);
    const rows = ends ? merged(node.inbox.splice(0)) : [];
    const plan = this.#decide(node, joined([...rows, ...events]), facts);
    this.#endBelow(node, plan);
    this.#write(node, plan);
    for (const { slot, index, run } of plan.scopes?.opened ?? []) this.#open(node, slot, index, run);
    for (const { slot, index } of plan.scopes?.undone ?? []) this.#undo(node, slot, index);
    this.#send(node, plan);
  }

  #decide(node: NestedView, events: readonly Event[], facts: readonly Fact[]): Plan {
    node.checks.before();
    node.oracle.nextCommit();
    const before = snapshotOf(node.view);
    const plan = transition(node.view, events, () => `step-${this.#ids++}`);
    this.#tellHolds(node, before);
    this.#tellEnds(node, events, before);
    const told = facts.map((fact) => withOpen(fact, node, before, events));
    const news = told.filter((fact) => {
      const isNew = node.oracle.tell(fact);
      this.#tellTakenBack(node, events, before);
      return isNew;
    });
    if (node === this.top && news.some(({ fact }) => fact === 'cancel')) this.#isCancelled = true;
    for (const fact of news) if ('key' in fact) this.#advance(node, fact);
    assert.equal(plan.late.length, facts.length - news.length, `late: ${JSON.stringify(plan.late)}`);
    this.#tellTakenBack(node, events, before);
    node.checks.checkPlan(
      plan,
      events.filter((event) => !plan.late.includes(event)),
    );
    return plan;
  }

  /** While its execution is paused a step may wait for scopes of which none is open: nothing keeps it then from being stopped. */
  #tellHolds(node: NestedView, before: ReadonlyMap<number, StepState>): void {
    for (const [slot, { status, held }] of before)
      if (status === 'waiting' && held !== null)
        node.oracle.tellHolds(node.view.graph.steps[slot]!.key, held.open > 0);
  }

  /** The last open scope of a step has ended in a commit after which no other one is opened. */
  #tellTakenBack(node: NestedView, events: readonly Event[], before: ReadonlyMap<number, StepState>): void {
    const { stopRequested, execution, steps } = node.oracle.verdict;
    if (!stopRequested && execution !== 'compensating') return;
    for (const [slot, { held }] of before) {
      const { key } = node.view.graph.steps[slot]!;
      const isLast = held !== null && held.open > 0 && held.open === endsOf(events, slot).length;
      if (isLast && steps[key] === 'waiting') node.oracle.tell({ fact: 'resumed', key });
    }
  }

  #advance(node: NestedView, fact: StepFact): void {
    const slot = node.view.graph.slots.get(fact.key)!;
    const holding = node.holdings.get(slot);
    if (fact.fact !== 'parked' || holding === undefined || fact.holds !== true) {
      node.acting.get(fact.key)!.advance(fact);
      return;
    }
    if (this.#hasMore(holding)) holding.round += 1;
    holding.attempt = node.view.steps[slot]!.attempt;
    // A round without a scope is over at once.
    const { held } = node.view.steps[slot]!;
    if (held !== null && isOver(held)) node.oracle.tell({ fact: 'resumed', key: fact.key });
  }

  /** Tells the oracle what ends of scopes mean to their holder, from the numbers alone. */
  #tellEnds(node: NestedView, events: readonly Event[], before: ReadonlyMap<number, StepState>): void {
    for (const event of events) {
      if (event.type === 'scopes_undone') this.#tellUndone(node, event.slot, events, before);
      if (event.type !== 'scopes_ended') continue;
      node.heard.push(event as Ends);
      const { key } = node.view.graph.steps[event.slot]!;
      const held = before.get(event.slot)!.held!;
      const { tolerated } = held;
      const failures = event.ends.filter(({ status }) => status === 'failed');
      const failed = held.failed + failures.length;
      const isLast = held.open === event.ends.length;
      const { stopRequested, execution } = node.oracle.verdict;
      if (stopRequested || execution === 'compensating') {
        if (isLast) this.#tellOver(node, event.slot, before.get(event.slot)!.status === 'failed');
      } else if (failed > (tolerated ?? 0)) {
        const retryable = tolerated === null ? failures[0]!.failure!.retryable : true;
        node.oracle.tell({ fact: 'scopes failed', key, retryable, open: !isLast });
      } else if (isLast && held.again.length === 0 && held.next === held.total) {
        node.oracle.tell({ fact: 'resumed', key });
      }
    }
  }

  /** The last scope of a step is over that had time to end. */
  #tellOver(node: NestedView, slot: number, hasFailed: boolean): void {
    const { key } = node.view.graph.steps[slot]!;
    node.oracle.tell({ fact: hasFailed ? 'scopes over' : 'resumed', key });
  }

  #tellUndone(
    node: NestedView,
    slot: number,
    events: readonly Event[],
    before: ReadonlyMap<number, StepState>,
  ): void {
    const { next, open } = before.get(slot)!.held!.undoing!;
    const heard = events.filter((event) => event.type === 'scopes_undone' && event.slot === slot).length;
    const { key } = node.view.graph.steps[slot]!;
    if (next + open === heard) node.oracle.tell({ fact: 'scopes undone', key });
  }

  #write(node: NestedView, plan: Plan): void {
    node.store.apply(plan);
    node.checks.after(plan, node.oracle.verdict);
  }

  #open(node: NestedView, slot: number, index: number, run: number): void {
    const { key } = node.view.graph.steps[slot]!;
    const holding = node.holdings.get(slot)!;
    const around = node.view.scope;
    const earlier = holding.scopes.get(index);
    assert(earlier === undefined || (earlier.isFinal && earlier.view.status !== 'completed'), 'opened twice');
    const scope: ScopeRef = {
      path: runPath(around, key, index),
      around,
      holderId: node.view.steps[slot]!.id,
      holderSlot: slot,
      index,
      part: 0,
      run,
    };
    const opened = new NestedView(holding.holder.inner, node, scope);
    holding.scopes.set(index, opened);
    const open = [...holding.scopes.values()].filter(({ isFinal }) => !isFinal).length;
    assert(open <= holding.holder.concurrency, `${open} scopes of ${key} are open`);
    this.#commit(opened, [{ type: 'begin' }], [{ fact: 'begin' }]);
  }

  #undo(node: NestedView, slot: number, index: number): void {
    const { scopes, holder } = node.holdings.get(slot)!;
    scopes.get(index)!.beginUndoing();
    const open = [...scopes.values()].filter(({ view }) => view.status === 'compensating').length;
    assert(open <= holder.concurrency, `${open} scopes are being undone`);
  }

  /** The end of a scope goes along with its commit, or waits in the inbox. */
  #send(node: NestedView, plan: Plan): void {
    for (const { event } of outboxOf(plan, null, this.#luck.random())) {
      node.parent!.inbox.push(event);
      if (this.#luck.chance(0.4)) this.#fold(node.parent!);
    }
  }

  /** Ends all scopes below the holders that a plan names, bottom up. */
  #endBelow(node: NestedView, plan: Plan): void {
    const stopped = new Map<number, number>();
    for (const [slot, how] of plan.scopes?.endedBelow ?? []) {
      const scopes = [...node.holdings.get(slot)!.scopes.values()];
      if (how === 'stop') stopped.set(slot, scopes.filter((scope) => this.#stop(scope)).length);
      else for (const scope of scopes) this.#cancel(scope);
    }
    if (stopped.size === 0) return;
    const hasFailed = (slot: number) => node.view.steps[slot]!.status === 'failed';
    const failed = new Map([...stopped.keys()].map((slot) => [slot, hasFailed(slot)]));
    countStopped(plan, stopped, () => `step-${this.#ids++}`);
    for (const [slot, count] of stopped)
      if (count > 0 && node.view.steps[slot]!.held!.open === 0) this.#tellOver(node, slot, failed.get(slot)!);
  }

  #cancel(node: NestedView): void {
    if (node.isFinal) return;
    const { due } = node.view;
    for (const scope of node.below) this.#cancel(scope);
    for (const event of merged(node.inbox.splice(0))) {
      if (event.type !== 'scopes_ended') continue;
      const { slot, ends } = event;
      countEnds(node.view.steps[slot]!.held!, ends);
      node.store.count(node.view, slot);
    }
    if (!node.hasTicket)
      this.#write(node, this.#decide(node, [{ type: 'cancel', reason: null }], [{ fact: 'cancel' }]));
    if (due !== null) node.breakOff(due);
  }

  /** Stops a scope, and all that is open below it. Returns whether it has ended at once. */
  #stop(node: NestedView): boolean {
    if (node.isFinal || node.view.stopRequested !== null) return false;
    const plan = this.#decide(node, [{ type: 'stop', reason: null }], [{ fact: 'stop' }]);
    this.#endBelow(node, plan);
    this.#write(node, plan);
    return node.isFinal;
  }

  #nextEnd(): readonly [Event, Fact] {
    const how = this.#luck.below(4);
    if (how === 0) return [{ type: 'cancel', reason: null }, { fact: 'cancel' }];
    if (how === 1) return [{ type: 'time_out' }, { fact: 'time out' }];
    if (how === 2) return [{ type: 'stop', reason: null }, { fact: 'stop' }];
    return [{ type: 'stop_overdue' }, { fact: 'stop overdue' }];
  }

  #endFromAbove(): void {
    const { top } = this;
    const ends = [this.#nextEnd()];
    // Another end reaches the same commit.
    if (this.#luck.chance(0.3)) ends.push(this.#nextEnd());
    this.#commit(
      top,
      ends.map(([event]) => event),
      ends.map(([, fact]) => fact),
    );
  }

  /** What completed is undone, at every depth, unless the execution completed or somebody cancelled it. */
  #checkUndone({ view }: NestedView): void {
    if (this.top.view.status === 'completed' || this.#isCancelled) return;
    for (const [place, slot] of view.graph.compensated.entries()) {
      if (view.steps[slot]?.status !== 'completed') continue;
      const { status } = view.steps[view.graph.size + place] ?? { status: 'absent' };
      assert(['completed', 'failed'].includes(status), `a compensation is ${status} in the end`);
    }
  }

  /** The numbers of every holder are those of its scopes. */
  #checkNumbers(node: NestedView): void {
    for (const [slot, { scopes }] of node.holdings) {
      const held = node.view.steps[slot]?.held ?? null;
      if (held === null) {
        assert.equal(scopes.size, 0, 'scopes without a number');
        continue;
      }
      const { completed, failed, cancelled, open } = held;
      const counts = { completed: 0, failed: 0, cancelled: 0 };
      for (const { view } of scopes.values()) counts[view.status as keyof typeof counts] += 1;
      const left = held.again.filter((index) => scopes.has(index)).length;
      assert.deepEqual(
        { open, completed, sum: completed + failed + cancelled + left },
        {
          open: 0,
          completed: counts.completed,
          sum: scopes.size,
        },
      );
    }
  }
}

function isNewAttempt({ attempt }: Holding, state: StepState): boolean {
  return state.held !== null && attempt !== state.attempt && !state.parked;
}

function isOver({ open, again, next, total }: HeldScopes): boolean {
  return open === 0 && again.length === 0 && next === total;
}

function snapshotOf({ steps }: ExecutionView): Map<number, StepState> {
  const states = steps.filter((state) => state !== undefined);
  return new Map(states.map((state) => [state.slot, structuredClone(state)]));
}

function hasFailure(event: Event): boolean {
  return event.type === 'scopes_ended' && event.ends.some(({ status }) => status === 'failed');
}

/** Ends of scopes first, each holder's as one event. */
function joined(events: readonly Event[]): Event[] {
  const isEnd = ({ type }: Event) => type === 'scopes_ended' || type === 'scopes_undone';
  return [...merged(events.filter(isEnd)), ...events.filter((event) => !isEnd(event))];
}

/** Rows of an inbox as the fewest events: ends are one for each holder and run. */
function merged(rows: readonly Event[]): (Ends | ScopesUndone)[] {
  const byHolder = new Map<string, Ends>();
  const undone: ScopesUndone[] = [];
  for (const row of rows) {
    if (row.type === 'scopes_undone') {
      undone.push(row);
      continue;
    }
    assert(row.type === 'scopes_ended');
    const key = `${row.slot} ${row.run}`;
    const known = byHolder.get(key);
    if (known === undefined) byHolder.set(key, { ...row, ends: [...row.ends] });
    else known.ends.push(...row.ends);
  }
  return [...byHolder.values(), ...undone];
}

/** Whether a step waits for ends of scopes of its run. */
function hears({ status }: ExecutionView, { status: of, held }: StepState): boolean {
  return of === 'waiting' || (status === 'compensating' && held!.open > 0);
}

/** A timeout of a step, with whether it has open scopes when it comes. */
function withOpen(
  fact: Fact,
  { view }: NestedView,
  before: ReadonlyMap<number, StepState>,
  events: readonly Event[],
): Fact {
  if (fact.fact !== 'timed out') return fact;
  const slot = view.graph.slots.get(fact.key)!;
  return { ...fact, open: (before.get(slot)?.held?.open ?? 0) > endsOf(events, slot).length };
}

function endsOf(events: readonly Event[], slot: number): readonly EndedScope[] {
  return events.flatMap((event) => (event.type === 'scopes_ended' && event.slot === slot ? event.ends : []));
}
