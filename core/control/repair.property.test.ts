/**
 * Random graphs, outcomes and repairs at random moments: every repair does what an oracle says, or is refused for its reason, and
 * no execution that goes on after one is left without an end.
 */
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { cases } from '../../tests/support/core/cases.ts';
import { isHandled, type NaiveStep, naiveRepair } from '../../tests/support/core/control/naive-repair.ts';
import { racingTemplates, templates, undoneTemplates } from '../../tests/support/core/graphs.ts';
import { ROUTES } from '../../tests/support/core/route-names.ts';
import { Luck } from '../../tests/support/core/seeded-random.ts';
import type { Event } from '../event.ts';
import { compileGraph } from '../graph.ts';
import { findInView } from '../invariants.ts';
import { isFinalExecution, isFinalStep } from '../status.ts';
import type { Template } from '../template.ts';
import { transition } from '../transition.ts';
import { type ExecutionView, emptyView, type StepState } from '../view.ts';
import { WHOLE_REPAIR } from './asked-repair.ts';
import { planOfRepair } from './judge.ts';

const MAX_ACTIONS = 60;
const ERROR = { code: 'boom', message: 'boom', details: null };

class RepairDrive {
  readonly #template: Template;
  readonly #luck: Luck;
  readonly #hasOracle: boolean;
  readonly view: ExecutionView;
  #ids = 0;

  constructor(template: Template, seed: number, hasOracle: boolean) {
    this.#template = template;
    this.#luck = new Luck(seed, 0);
    this.#hasOracle = hasOracle;
    this.view = emptyView('execution', compileGraph(template));
  }

  run(): void {
    this.#send({ type: 'begin' });
    for (let action = 0; action < MAX_ACTIONS; action += 1) {
      if (isFinalExecution(this.view.status)) {
        if (this.#luck.below(4) === 0) return;
        this.#repair();
      } else this.#act(true);
    }
    this.#drain();
  }

  /** All goes well from now on: the execution must end. */
  #drain(): void {
    const most = 8 * this.view.graph.steps.length + 8;
    for (let left = most; !isFinalExecution(this.view.status); left -= 1) {
      if (left === 0)
        throw new Error(`It does not end: ${this.view.status} ${JSON.stringify(this.#statuses())}`);
      this.#act(false);
    }
    const unhandled = this.#template.steps.filter(
      ({ key }) => this.#state(key).status === 'failed' && !isHandled(this.#template, key),
    );
    if (this.view.status === 'completed') expect(unhandled).toEqual([]);
  }

  #act(isWild: boolean): void {
    const states = this.view.steps.filter((state) => state !== undefined && !isFinalStep(state.status));
    const running = states.filter((state) => state!.status === 'running') as StepState[];
    const queued = states.filter((state) => state!.status === 'queued') as StepState[];
    const drawn = isWild ? this.#luck.below(12) : 11;
    if (drawn === 0) this.#send(this.#pick(ENDS));
    else if (drawn < 3 && states.length > 0) this.#force(this.#pick(states as StepState[]), isWild);
    else if (running.length > 0 && (queued.length === 0 || this.#luck.below(2) === 0))
      this.#end(this.#pick(running), isWild);
    else if (queued.length > 0) this.#claim(this.#pick(queued));
    else if (this.view.stopRequested !== null || this.view.status === 'compensating')
      this.#send({ type: 'stop_overdue' });
    else this.#send({ type: 'cancel', reason: null });
  }

  #claim({ slot }: StepState): void {
    this.#send({ type: 'claim', slot, owner: 'engine-1' });
  }

  #end({ slot, attempt, owner }: StepState, isWild: boolean): void {
    const claim = { attempt, owner: owner! };
    const drawn = isWild ? this.#luck.below(8) : 7;
    // A compensation has no guard.
    if (drawn === 0 && slot < this.view.graph.size) this.#send({ type: 'skip', slot, claim });
    else if (drawn < 4)
      this.#send({
        type: 'fail',
        slot,
        claim,
        error: ERROR,
        retryable: false,
        begun: true,
        retryAfterMs: null,
        random: 0,
      });
    else this.#send({ type: 'complete', slot, claim, output: { json: '1' }, routes: this.#routes(slot) });
  }

  #force({ slot, id: stepId }: StepState, isWild: boolean): void {
    if (!isWild) return;
    const results = [
      { kind: 'complete', output: { json: '1' }, routes: this.#routes(slot) },
      { kind: 'fail', error: ERROR },
      { kind: 'skip' },
    ] as const;
    const act = { act: 'complete', by: null } as const;
    this.#send({ type: 'force', slot, stepId, result: this.#pick(results), act });
  }

  #routes(slot: number): readonly string[] | null {
    return this.view.graph.steps[slot]!.type === 'switch'
      ? ROUTES.filter(() => this.#luck.below(2) === 0)
      : null;
  }

  #repair(): void {
    const keys = this.#template.steps.map(({ key }) => key);
    const form = this.#luck.below(3);
    const from = form === 1 ? this.#pick(keys) : null;
    const only = form === 2 ? this.#pick(keys) : null;
    const outputs = new Map<string, readonly string[] | null>();
    const skip = new Set<string>();
    for (const key of keys) {
      const isBroken = ['failed', 'cancelled'].includes(this.#state(key).status);
      if (this.#luck.below(isBroken ? 3 : 40) > 0) continue;
      if (this.#luck.below(2) === 0) outputs.set(key, this.#routes(this.#state(key).slot));
      else skip.add(key);
    }
    const slotOf = (key: string) => this.view.graph.slots.get(key)!;
    const repair = {
      ...WHOLE_REPAIR,
      from: from === null ? null : slotOf(from),
      only: only === null ? null : slotOf(only),
      outputs: new Map([...outputs].map(([key, routes]) => [slotOf(key), { output: { json: '2' }, routes }])),
      skip: new Set([...skip].map(slotOf)),
    };
    const act = { act: 'retry', by: null } as const;
    const expected = naiveRepair(this.#template, this.view.status, this.#before(), {
      from,
      only,
      outputs,
      skip,
    });
    const before = JSON.stringify(this.view, replacer);
    const judged = planOfRepair(
      structuredClone({ ...this.view, graph: null }) && clone(this.view),
      repair,
      act,
      () => 'id',
    );
    const { sequence } = this.view;
    const plan = transition(this.view, [{ type: 'repair', repair, sequence, act }], () => this.#newId());
    const isRefused = plan.late.length > 0;
    expect('message' in judged).toBe(isRefused);
    if (isRefused) expect(JSON.stringify(this.view, replacer)).toBe(before);
    else this.#check();
    if (!this.#hasOracle) return;
    if ('refused' in expected) {
      expect(judged).toMatchObject({ code: expected.refused });
      return;
    }
    expect(isRefused ? judged : null).toBeNull();
    const wanted = Object.fromEntries([...expected.steps].map(([key, { status }]) => [key, status]));
    expect(this.#statuses()).toEqual(wanted);
  }

  #before(): Map<string, NaiveStep> {
    return new Map(
      this.#template.steps.map(({ key }) => {
        const { status, routes, byHand } = this.#state(key);
        return [key, { status, routes, byHand }];
      }),
    );
  }

  #send(event: Event): void {
    transition(this.view, [event], () => this.#newId());
    this.#check();
  }

  #check(): void {
    expect(findInView(this.view).map(({ message }) => message)).toEqual([]);
  }

  #state(key: string): StepState {
    return this.view.steps[this.view.graph.slots.get(key)!]!;
  }

  #statuses(): Record<string, string> {
    return Object.fromEntries(
      this.#template.steps.map(({ key }) => [
        key,
        this.view.steps[this.view.graph.slots.get(key)!]?.status ?? 'none',
      ]),
    );
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#luck.below(list.length)]!;
  }

  #newId(): string {
    this.#ids += 1;
    return `id-${this.#ids}`;
  }
}

const ENDS = [
  { type: 'stop', reason: null },
  { type: 'cancel', reason: null },
  { type: 'time_out' },
] as const;

function clone(view: ExecutionView): ExecutionView {
  const steps = view.steps.map((state) => state && { ...state });
  return { ...view, steps, edges: view.edges.slice() };
}

function replacer(key: string, value: unknown): unknown {
  return key === 'graph' ? undefined : value;
}

test.each([
  ['small', 6, 4000],
  ['large', 14, 1000],
])('repairs of a %s execution do what the oracle says, and it ends', (_, steps, runs) => {
  const property = fc.property(templates(steps), fc.integer(), (template, seed) => {
    new RepairDrive(template, seed, true).run();
  });
  fc.assert(property, cases(runs));
});

test('no accepted repair leaves an execution that does not end, with races and compensations', () => {
  for (const drawn of [racingTemplates(8), undoneTemplates(6)]) {
    const property = fc.property(drawn, fc.integer(), (template, seed) => {
      new RepairDrive(template, seed, false).run();
    });
    fc.assert(property, cases(2000));
  }
});
