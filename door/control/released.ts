/**
 * The work that was held back while an execution was paused, as jobs in the commit that lets it go on: a ticket for each ready step, and
 * one for each scope whose steps may open more scopes. Scopes are found level by level, so the number of statements grows with
 * the depth alone.
 *
 * An engine that takes a ticket of a paused execution drops it, and a step that gets ready meanwhile has none. So some ready steps have
 * their ticket still, and others need one. None is dropped while the execution is locked.
 */

import { graphAt } from '../../core/graph.ts';
import { changesHold } from '../../core/hold/held-back.ts';
import { inboxTicket, type Job, ofView, stepTicket } from '../../core/jobs.ts';
import { type ScopeId, scopeName, slotOf } from '../../core/view.ts';
import type { Tx } from '../../db/connection/client.ts';
import { readHeldBack, type StepBelow } from '../../db/control/open-below.ts';
import { newId } from '../../db/uuid.ts';
import type { ExecutionEngineQueue } from '../../queue/execution-engine-queue.ts';
import type { DecidedUnit } from '../unit.ts';

const READY_QUEUES = ['StepExecutionQueue', 'MergeExecutionQueue'] as const;

export class Released {
  readonly #queue: Pick<ExecutionEngineQueue, 'thoseThere'>;

  constructor(queue: Pick<ExecutionEngineQueue, 'thoseThere'>) {
    this.#queue = queue;
  }

  /** Adds the jobs to a unit that lets its execution go on. Its execution is locked, and its own steps are claimed. */
  async addTickets(tx: Tx, unit: DecidedUnit): Promise<void> {
    const { plan } = unit;
    if (!changesHold(plan) || plan.view.status !== 'running') return;
    const below = await readAllHeldBack(tx, unit);
    const tickets = [
      ...ownTickets(unit),
      ...below.filter(({ isQueued }) => isQueued).map((step) => ticketOf(unit, step)),
    ];
    const there = await this.#queue.thoseThere(
      tx,
      READY_QUEUES,
      tickets.map(({ id }) => id),
    );
    unit.tickets = [...tickets.filter(({ id }) => !there.has(id)), ...openingTickets(unit, below)];
  }
}

async function readAllHeldBack(tx: Tx, { plan: { view } }: DecidedUnit): Promise<StepBelow[]> {
  const all: StepBelow[] = [];
  let holders = view.steps.flatMap((state) => (state?.held != null && state.held.open > 0 ? state.id : []));
  while (holders.length > 0) {
    const level = await readHeldBack(tx, view.id, holders);
    all.push(...level);
    holders = level.filter(({ holdsOpen }) => holdsOpen).map(({ id }) => id);
  }
  return all;
}

/** Returns tickets for the ready steps of the top level. */
function ownTickets({ plan: { view } }: DecidedUnit): Job[] {
  return view.steps.flatMap((state) =>
    state?.status === 'queued' ? stepTicket(ofView(view), view.graph, state) : [],
  );
}

function ticketOf(
  { loaded: { version, id } }: DecidedUnit,
  { id: stepId, stepTemplateId, scope }: StepBelow,
): Job {
  const position = version.positions.get(stepTemplateId)!;
  const graph = graphAt(version.graphs, position);
  return stepTicket(ofView({ id, scope }), graph, { id: stepId, slot: slotOf(graph, position) });
}

/** Whoever takes one opens scopes of the steps in its view. */
function openingTickets({ loaded: { id } }: DecidedUnit, below: readonly StepBelow[]): Job[] {
  const views = new Map<string, ScopeId>();
  for (const { scope, mayOpenMore } of below) if (mayOpenMore) views.set(scopeName(scope), scope);
  return [...views.values()].map((scope) => inboxTicket(ofView({ id, scope }), newId()));
}
