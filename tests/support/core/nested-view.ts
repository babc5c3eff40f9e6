/**
 * One view of an execution whose steps hold scopes, with all that is known about it: its rows, its oracle, the acts of its
 * handlers, and the views below it.
 */
import assert from 'node:assert/strict';
import type { EndedScope, Event } from '../../../core/event.ts';
import { compileGraph } from '../../../core/graph.ts';
import { isFinalExecution } from '../../../core/status.ts';
import type { Template } from '../../../core/template.ts';
import { type DueStatus, type ExecutionView, emptyView, type ScopeRef } from '../../../core/view.ts';
import { CommitChecks } from './commit-checks.ts';
import { MemoryStore } from './memory-store.ts';
import { Oracle } from './oracle.ts';
import { type Performance, performances, type StepScript } from './scripts.ts';

/** A template, and the scopes of those of its steps that hold some. */
export interface NestedTemplate {
  readonly template: Template;
  readonly scripts: readonly StepScript[];
  readonly holders: ReadonlyMap<string, Holder>;
}

export interface Holder {
  readonly inner: NestedTemplate;
  /** How many scopes the step adds each time that it is parked. A foreach adds all at once, a loop one at a time. */
  readonly rounds: readonly number[];
  readonly concurrency: number;
  readonly tolerated: number | null;
}

/** Returns the steps in whose scopes something can be undone. */
function undoneInside({ holders }: NestedTemplate): ReadonlySet<string> {
  const keys = [...holders].filter(([, { inner }]) => isUndone(inner)).map(([key]) => key);
  return new Set(keys);
}

function isUndone(nested: NestedTemplate): boolean {
  const { steps } = nested.template;
  return steps.some(({ compensation }) => compensation !== null) || undoneInside(nested).size > 0;
}

/** Ends of scopes of one holder. */
export type Ends = Extract<Event, { type: 'scopes_ended' }> & { ends: EndedScope[] };

/** A step that holds scopes, in one view. */
export interface Holding {
  readonly holder: Holder;
  round: number;
  /** The attempt whose scopes are open, or were. */
  attempt: number;
  readonly scopes: Map<number, NestedView>;
}

/** One view, with all that is known about it. */
export class NestedView {
  readonly view: ExecutionView;
  readonly nested: NestedTemplate;
  readonly parent: NestedView | null;
  readonly oracle: Oracle;
  readonly store = new MemoryStore('execution');
  readonly checks: CommitChecks;
  readonly acting: Map<string, Performance>;
  readonly holdings: Map<number, Holding>;
  /** What no commit of this view has read yet of its scopes. */
  inbox: Event[] = [];
  /** Ends that it has heard of. */
  readonly heard: Ends[] = [];

  constructor(nested: NestedTemplate, parent: NestedView | null, scope: ScopeRef | null) {
    this.nested = nested;
    this.parent = parent;
    const inside = undoneInside(nested);
    const compiled = compileGraph(nested.template);
    const slots = [...inside].map((key) => compiled.slots.get(key)!);
    const graph = { ...compiled, undoneInside: slots.sort((a, b) => a - b) };
    this.view = emptyView('execution', graph, scope);
    this.oracle = new Oracle(nested.template, { undoneInside: inside, isScope: scope !== null });
    this.checks = new CommitChecks(nested.template, this.view, this.store);
    this.acting = performances(nested.template, nested.scripts);
    this.holdings = new Map(
      [...nested.holders].map(([key, holder]) => [
        graph.slots.get(key)!,
        { holder, round: 0, attempt: 0, scopes: new Map() },
      ]),
    );
  }

  /** Whether it is to be undone, and nobody has looked yet. */
  hasTicket = false;

  /** It is over, and its holder's commit begins to undo it. */
  beginUndoing(): void {
    const { view, store } = this;
    assert(this.isFinal, `${view.scope!.path} is undone while it is ${view.status}`);
    const row = {
      status: 'compensating',
      due: view.status as DueStatus,
      sequence: view.sequence + 1,
    } as const;
    Object.assign(view, row);
    Object.assign(store.execution, row);
    this.hasTicket = true;
  }

  /** Its execution is paused, or goes on. */
  hold(fact: 'pause' | 'resume'): void {
    const [from, to] = fact === 'pause' ? (['running', 'paused'] as const) : (['paused', 'running'] as const);
    if (this.view.status !== from) return;
    this.view.status = to;
    this.store.execution.status = to;
    this.oracle.verdict.execution = to;
    if (fact === 'resume') this.store.addTickets(this.view);
  }

  /** An end from above gives it the status back that it had. */
  breakOff(due: DueStatus): void {
    this.hasTicket = false;
    this.view.status = due;
    this.view.due = null;
    this.store.execution.status = due;
    this.store.execution.due = null;
    this.oracle.verdict.execution = due;
  }

  get isFinal(): boolean {
    return isFinalExecution(this.view.status);
  }

  get below(): NestedView[] {
    return [...this.holdings.values()].flatMap(({ scopes }) => [...scopes.values()]);
  }

  /** This view and all below it, the deepest first. */
  get all(): NestedView[] {
    return [...this.below.flatMap((node) => node.all), this];
  }
}
