/**
 * Makes a retry out of what was asked for: looks at the views that it concerns, from the top level down, and judges it there.
 */
import type { Act } from '../../core/control/act.ts';
import type { HandResult, HolderRepair, ReopenedScope, Repair } from '../../core/control/asked-repair.ts';
import type { DryRunWarning } from '../../core/control/dry-run.ts';
import { isRefusal, planOfRepair } from '../../core/control/judge.ts';
import { pathOf } from '../../core/control/refusal.ts';
import { warningsOf } from '../../core/control/tell-plan.ts';
import { isObject } from '../../core/json/json.ts';
import type { Plan } from '../../core/plan.ts';
import { EngineError } from '../../core/problem.ts';
import { isFinalExecution } from '../../core/status.ts';
import { type ExecutionView, viewKey } from '../../core/view.ts';
import { readScopeBytes, readUnfinishedScopes } from '../../db/control/retried.ts';
import { newId } from '../../db/uuid.ts';
import type { Loaded } from '../../door/actor.ts';
import { childrenInPlace } from '../../door/control/children-in-place.ts';
import type { Stage } from '../../door/control/stage.ts';
import type { JsonPayload } from '../../payload/json-payload.ts';
import { type AskedOutput, type AskedView, fault } from './asked-view.ts';

/** A retry that can be made. */
export interface JudgedRepair {
  readonly repair: Repair;
  /** The sequence of the execution that it was judged at. */
  readonly sequence: number;
  readonly plan: Plan;
  /** Of the scopes that are opened again, the outer ones first. */
  readonly inside: readonly Plan[];
  readonly warnings: readonly DryRunWarning[];
}

/** Outputs by their place in the request, ready to be stored. */
export type Storable = ReadonlyMap<string, JsonPayload>;

export class RepairMaker {
  readonly #stage: Stage;
  readonly #outputs: Storable;
  readonly #act: Act;
  readonly #inside: Plan[] = [];
  readonly #warnings: DryRunWarning[] = [];

  constructor(stage: Stage, outputs: Storable, act: Act) {
    this.#stage = stage;
    this.#outputs = outputs;
    this.#act = act;
  }

  /** @throws EngineError when it cannot be made; null: there is no such execution */
  async make(executionId: string, asked: AskedView): Promise<JudgedRepair | null> {
    const loaded = await this.#stage.load(executionId);
    if (loaded === null) return null;
    const { sequence } = loaded.view;
    const { repair, plan } = await this.#view(loaded, loaded.view, asked);
    return { repair, sequence, plan, inside: this.#inside, warnings: this.#warnings };
  }

  /** The holder's view is decided before its scopes: it says for which run they are opened. */
  async #view(
    loaded: Loaded,
    view: ExecutionView,
    asked: AskedView,
  ): Promise<{ readonly repair: Repair; readonly plan: Plan }> {
    const scopes = isFinalExecution(view.status) ? await this.#scopes(view, asked) : [];
    const repair = await this.#repair(loaded, asked, scopes);
    await this.#judgeChildren(repair);
    const plan = planOfRepair(view, repair, this.#act, newId);
    if (isRefusal(plan)) throw new EngineError(plan.code, plan.message);
    this.#warnings.push(...warningsOf(view));
    if (view.scope !== null) this.#inside.push(plan);
    for (const { inner, slot, asked: below } of scopes) {
      const { run } = view.steps[slot]!.held!;
      const scope = { ...inner.view.scope!, around: view.scope, run };
      await this.#view(inner, { ...inner.view, scope }, below);
    }
    return { repair, plan };
  }

  async #scopes(view: ExecutionView, { inside }: AskedView): Promise<FoundScope[]> {
    const found: FoundScope[] = [];
    for (const { key, index, asked } of inside.values()) {
      const slot = slotOf(view, key, key);
      const state = view.steps[slot];
      const path = `${pathOf(view, slot)}[${index}]`;
      if (view.graph.steps[slot]!.type === 'agent')
        throw new EngineError(
          'wrong_state',
          `${path} is of a conversation, which begins anew: retry from ${key}.`,
        );
      const inner =
        state === undefined ? null : await this.#stage.load(viewKey(view.id, { holderId: state.id, index }));
      if (inner === null) throw new EngineError('scope_not_found', `There is no scope ${path}.`);
      found.push({ slot, index, asked, inner });
    }
    return found;
  }

  async #repair(loaded: Loaded, asked: AskedView, scopes: readonly FoundScope[]): Promise<Repair> {
    const { view } = loaded;
    const { from, only, isBelow } = asked;
    const isWhole = from === null && only === null && !isBelow;
    const outputs = new Map<number, HandResult>();
    for (const [key, output] of asked.outputs) {
      const slot = slotOf(view, key, output.pointer);
      outputs.set(slot, this.#result(loaded, slot, output));
    }
    const children = isWhole ? await childrenInPlace(this.#stage.tx, loaded) : new Map<number, string>();
    const skip = new Set([...asked.skip].map(([key, pointer]) => slotOf(view, key, pointer)));
    for (const slot of [...outputs.keys(), ...skip]) children.delete(slot);
    return {
      from: from === null ? null : slotOf(view, from, '/from'),
      only: only === null ? null : slotOf(view, only, '/only'),
      isBelow,
      outputs,
      skip,
      children,
      reopened: await this.#reopened(view, scopes),
    };
  }

  async #reopened(view: ExecutionView, scopes: readonly FoundScope[]): Promise<Map<number, HolderRepair>> {
    const { tx } = this.#stage;
    const reopened = new Map<number, HolderRepair>();
    for (const [slot, own] of Map.groupBy(scopes, (scope) => scope.slot)) {
      const { id } = view.steps[slot]!;
      const opened: ReopenedScope[] = [];
      for (const { index, inner } of own) {
        const { status } = inner.view;
        if (!isFinalExecution(status))
          throw new EngineError('wrong_state', `Scope ${inner.view.scope!.path} is ${status}.`);
        const bytes = await readScopeBytes(tx, id, index);
        opened.push({ index, status: status as ReopenedScope['status'], bytes });
      }
      const unfinished = (await readUnfinishedScopes(tx, id)).filter(
        (index) => !opened.some((scope) => scope.index === index),
      );
      reopened.set(slot, { scopes: opened, unfinished });
    }
    return reopened;
  }

  #result(loaded: Loaded, slot: number, { value, pointer }: AskedOutput): HandResult {
    const output = this.#outputs.get(pointer)!;
    const { type, step } = loaded.step(slot);
    if (type.routes === undefined) return { output, routes: null };
    const known = type.routes(step.with ?? {});
    const routes = isObject(value) && Array.isArray(value.routes) ? (value.routes as unknown[]) : null;
    if (routes === null)
      throw fault(pointer, `${step.key} is of the type ${type.type}: give { "routes": [...] }.`);
    const unknown = routes.find((route) => typeof route !== 'string' || !known.includes(route));
    if (unknown === undefined) return { output, routes: routes as string[] };
    throw fault(
      `${pointer}/routes`,
      `${step.key} has no route ${JSON.stringify(unknown)}; it has ${known.join(', ')}.`,
    );
  }

  /** A child that cannot be retried in place would leave its step waiting. @throws EngineError */
  async #judgeChildren({ children }: Repair): Promise<void> {
    for (const id of children.values()) {
      const child = await this.#stage.load(id);
      if (child === null) throw new EngineError('wrong_state', `The child execution ${id} is gone.`);
      const maker = new RepairMaker(this.#stage, this.#outputs, this.#act);
      await maker.#view(child, child.view, NOTHING_ASKED).catch((error: unknown) => {
        if (!(error instanceof EngineError)) throw error;
        const message = `The child execution ${id} cannot be retried: ${error.message}`;
        throw new EngineError(error.code, message);
      });
    }
  }
}

interface FoundScope {
  /** Of the holder. */
  readonly slot: number;
  readonly index: number;
  readonly asked: AskedView;
  readonly inner: Loaded;
}

const NOTHING_ASKED: AskedView = {
  from: null,
  only: null,
  isBelow: false,
  outputs: new Map(),
  skip: new Map(),
  inside: new Map(),
};

function slotOf({ graph, scope }: ExecutionView, key: string, pointer: string): number {
  const slot = graph.slots.get(key);
  if (slot !== undefined) return slot;
  const where = scope === null ? 'The template' : `The scope ${scope.path}`;
  throw fault(pointer, `${where} has no step ${key}.`);
}
