/**
 * The data that one transition may read of an execution: statuses, attempts and edges, never payloads.
 *
 * A transition changes the view it is given. When its plan does not commit, discard the view and load it again.
 *
 * Invariant 1: `sequence` equals the row's when the view was loaded or last committed.
 * Invariant 2: a step has a state exactly when it has a row.
 * Invariant 3: `resolved` and `live` of a step count its incoming edges in `edges`.
 */
import { type Graph, isLive, type ResolvingStatus } from './graph.ts';
import type { Json } from './json/json.ts';
import type { HeldScopes } from './scopes/held-scopes.ts';
import { type ExecutionStatus, isFinalStep, type StepStatus } from './status.ts';

const UUID_LENGTH = 36;

export const EDGE_OPEN = 0;
export const EDGE_LIVE = 1;
export const EDGE_DEAD = 2;

export interface StepState {
  /** Id of the step execution. */
  readonly id: string;
  /** Its place in the view, and in the arrays of the view's graph. */
  readonly slot: number;
  /** The place in the template's list of the step it is an instance of. */
  readonly position: number;
  status: StepStatus;
  /** Attempts begun; with `owner` the claim token. */
  attempt: number;
  /** Retries used; lost attempts do not count. */
  retries: number;
  /** Attempts that were lost because their process died. */
  crashes: number;
  /** The engine that holds the claim; null: none. */
  owner: string | null;
  /** Sequence of the transition that last changed the step; it distinguishes the waits of one attempt. */
  sequence: number;
  /** The step left the process in the middle of an attempt and will resume it. */
  parked: boolean;
  /** The attempt was parked and has a timeout: a separate timer ends it, whatever the step waits for. */
  hasDeadline: boolean;
  /** The step waits, and a timer wakes it. */
  hasTimer: boolean;
  resolved: number;
  live: number;
  routes: readonly string[] | null;
  /** The step was cancelled as the loser of a race: its edges are dead. */
  lost: boolean;
  /** How often it was reset by a retry of its execution. */
  resets: number;
  /** How often it was reset after it had completed: each time it gets a new idempotency key. */
  keyNumber: number;
  /** It was ended by hand. */
  byHand: boolean;
  /** Its join was decided on other edges than it has: in another version of the template, or by whoever gave its output. */
  decidedElsewhere: boolean;
  /** Null: the step holds no scopes, or has not begun to. */
  held: HeldScopes | null;
}

/** Where the view of a scope belongs. */
export interface ScopeRef {
  /** The keys and indexes of the holders from the top level on: `each[3]`, `each[3]/retry[0]`. */
  readonly path: string;
  /** The scope in which the holder is; null: the top level. */
  readonly around: ScopeRef | null;
  /** The step execution that holds the scope, and its slot in the view around. */
  readonly holderId: string;
  readonly holderSlot: number;
  readonly index: number;
  /** The one of the holder's scopes in the template that it is a run of: the tool of an agent. */
  readonly part: number;
  /** The run of the holder that opened the scope. */
  readonly run: number;
}

export interface ExecutionView {
  /** Id of the execution. */
  readonly id: string;
  /** Null: the top level. */
  readonly scope: ScopeRef | null;
  readonly graph: Graph;
  status: ExecutionStatus;
  sequence: number;
  /** Set by a stop until the execution is final. */
  stopRequested: { readonly reason: string | null } | null;
  readonly steps: (StepState | undefined)[];
  /** EDGE_OPEN, EDGE_LIVE or EDGE_DEAD by edge id. */
  readonly edges: Uint8Array;
  /** Steps that are in a final status, without compensations. */
  settledCount: number;
  /**
   * The first unhandled failure; with `onFailure: continue` it is known long before the end. While compensating: the
   * error with which the execution is going to end.
   */
  failure: ExecutionFailure | null;
  /** Who has paused it; null: nobody has. */
  pause: Pause | null;
  /** While compensating: the status that follows, for a scope the one that it had; else null. */
  due: DueStatus | null;
  /** Children that steps had waited for are not final yet: while there are any, nothing is undone. Read when it matters. */
  hasOpenChildren: boolean;
}

/** The pause of an execution. */
export interface Pause {
  /** The id of the parent that was paused with it; null: it was paused by itself. */
  readonly by: string | null;
}

/** Statuses that may come after compensations. A scope may have completed before its execution is undone. */
export type DueStatus = 'completed' | 'failed' | 'cancelled' | 'timed_out';

/** The name of a view among all: the execution's id, and behind a slash the name of a scope. */
export type ViewKey = string;

/** Where a scope is stored. */
export interface ScopeId {
  /** The step execution that holds it. */
  readonly holderId: string;
  readonly index: number;
}

/** The key of a view. @param scope null: the top level */
export function viewKey(executionId: string, scope: ScopeId | null): ViewKey {
  return scope === null ? executionId : `${executionId}/${scopeName(scope)}`;
}

/** The name of a scope within its execution. */
export function scopeName({ holderId, index }: ScopeId): string {
  return `${holderId}[${index}]`;
}

/** Id of the execution that a view belongs to. */
export function executionOf(key: ViewKey): string {
  return key.slice(0, UUID_LENGTH);
}

/** The scope that a view is of; null: the top level. */
export function scopeOf(key: ViewKey): ScopeId | null {
  if (key.length === UUID_LENGTH) return null;
  const holderId = key.slice(UUID_LENGTH + 1, 2 * UUID_LENGTH + 1);
  return { holderId, index: Number(key.slice(2 * UUID_LENGTH + 2, -1)) };
}

/** The execution's `error`: step is a key, or null when no step caused it. */
export interface ExecutionFailure {
  readonly code: string;
  readonly message: string;
  readonly step: string | null;
  /** In a scope only: its holder fails with the same details, and is retried if the step could have been. */
  readonly details?: Json;
  readonly retryable?: boolean;
}

/** A view of an execution that has no rows of steps yet. */
export function emptyView(id: string, graph: Graph, scope: ScopeRef | null = null): ExecutionView {
  return {
    id,
    scope,
    graph,
    status: 'pending',
    sequence: 0,
    stopRequested: null,
    steps: new Array(graph.size),
    edges: new Uint8Array(graph.edges.length),
    settledCount: 0,
    failure: null,
    pause: null,
    due: null,
    hasOpenChildren: false,
  };
}

/** A step row as a view is rebuilt from it. */
export interface StepRow {
  id: string;
  position: number;
  status: StepStatus;
  attempt: number;
  retries: number;
  crashes: number;
  owner: string | null;
  sequence: number;
  parked: boolean;
  hasDeadline: boolean;
  hasTimer: boolean;
  routes: readonly string[] | null;
  lost: boolean;
  /** Left out: 0. */
  resets?: number;
  /** Left out: 0. */
  keyNumber?: number;
  /** Left out: false. */
  byHand?: boolean;
  /** Left out: it was decided here. */
  decidedElsewhere?: boolean;
  /** Left out: the step holds no scopes. */
  held?: HeldScopes | null;
}

/** The row of an execution, or of a scope, as a view is rebuilt from it. */
export type ExecutionRow = Pick<
  ExecutionView,
  'id' | 'status' | 'sequence' | 'stopRequested' | 'failure' | 'due'
> & {
  /** Left out: nobody has paused it. */
  readonly pause?: Pause | null;
};

/**
 * Rebuilds a view from rows. Edges need no rows: whether one is live follows from its producer's result.
 */
export function loadView(
  execution: ExecutionRow,
  graph: Graph,
  rows: readonly StepRow[],
  scope: ScopeRef | null = null,
): ExecutionView {
  const view: ExecutionView = { ...emptyView(execution.id, graph, scope), ...execution };
  const states = rows.map((row) => ({
    ...row,
    resets: row.resets ?? 0,
    keyNumber: row.keyNumber ?? 0,
    byHand: row.byHand ?? false,
    held: row.held ?? null,
    decidedElsewhere: row.decidedElsewhere ?? false,
    slot: slotOf(graph, row.position),
    resolved: 0,
    live: 0,
  }));
  for (const state of states) {
    view.steps[state.slot] = state;
    if (isFinalStep(state.status) && state.slot < graph.size) view.settledCount += 1;
  }
  for (const state of states) resolveLoadedEdges(view, state);
  return view;
}

/** The slot of the step that is at a position of the template's list. */
export function slotOf({ firstPosition }: Pick<Graph, 'firstPosition'>, position: number): number {
  return position - firstPosition;
}

function resolveLoadedEdges(view: ExecutionView, { slot, status, routes, lost }: StepState): void {
  if (!resolvesEdges(status, lost)) return;
  for (const edge of view.graph.outgoing[slot]!) {
    const target = view.steps[edge.to];
    // Settling a producer inserts rows for its targets: a missing row is damage, which `findInView` reports.
    if (target === undefined) continue;
    const live = isLive(edge, status, routes);
    view.edges[edge.id] = live ? EDGE_LIVE : EDGE_DEAD;
    target.resolved += 1;
    if (live) target.live += 1;
  }
}

/** Returns whether the edges of a step with this status are resolved. */
export function resolvesEdges(status: StepStatus, lost: boolean): status is ResolvingStatus {
  return status === 'cancelled' ? lost : isFinalStep(status);
}

/** The slot of a step execution; null: the view has no such step. */
export function findSlot(view: ExecutionView, stepId: string): number | null {
  return view.steps.find((state) => state?.id === stepId)?.slot ?? null;
}

/** Returns whether only something from outside ends the wait of a step: no timer, and no scope of its own. */
export function isWaiting({ status, hasTimer, held }: StepState): boolean {
  return status === 'waiting' && !hasTimer && held === null;
}

/** Returns whether nothing goes on in a view until something comes from outside. */
export function isParked({ steps }: ExecutionView): boolean {
  return steps.every(
    (state) =>
      state === undefined ||
      isFinalStep(state.status) ||
      state.status === 'waiting_inputs' ||
      isWaiting(state),
  );
}
