/**
 * What this process knows of an execution it is working on: its view, the payloads that passed through here,
 * and the events that wait for the next commit.
 *
 * An actor is a cache with a mailbox: losing one loses nothing, it is loaded again.
 *
 * Invariant: while `busy` a plan of the actor's view is on its way to the database, and no other is made.
 */
import type { Event, StepError } from '../core/event.ts';
import type { ReceivedInput } from '../core/graph.ts';
import type { ExecutionView } from '../core/view.ts';
import type { KeptPayloads } from '../payload/kept-payloads.ts';
import type { TemplateVersion } from '../template/version.ts';

/** What became of an event. `missing`: there is no such execution. */
export type Delivery = 'applied' | 'late' | 'missing';

export interface Mail {
  readonly event: Event;
  readonly settle: ((delivery: Delivery, error?: unknown) => void) | null;
}

export interface Actor {
  readonly id: string;
  /** Null until the execution was loaded; the view goes whenever a commit failed. */
  version: TemplateVersion | null;
  view: ExecutionView | null;
  workspaceId: string | null;
  priority: number;
  /** Who is told when the execution is final; null: nobody. */
  callbackUrl: string | null;
  mailbox: Mail[];
  busy: boolean;
  /** Its input and its outputs by position, as far as they were produced or read here. */
  readonly kept: KeptPayloads;
  /** Errors of failed steps by position, likewise. */
  readonly errors: Map<number, StepError>;
  /** Edges as the join was decided, by position, until the step has begun. */
  readonly received: Map<number, readonly ReceivedInput[]>;
  /** Ready positions that were passed over while a commit was on its way. */
  readonly held: number[];
  /** What the execution counts for among those under way here; 0: nothing. */
  weight: number;
  /** Handlers running in this process. */
  runningCount: number;
}

export function newActor(id: string, kept: KeptPayloads): Actor {
  return {
    id,
    version: null,
    view: null,
    workspaceId: null,
    priority: 0,
    callbackUrl: null,
    mailbox: [],
    busy: false,
    kept,
    errors: new Map(),
    received: new Map(),
    held: [],
    weight: 0,
    runningCount: 0,
  };
}

/** Whether this process has something to do for the execution: a handler, a commit, or an event to be committed. */
export function isUnderWay({ busy, mailbox, runningCount }: Actor): boolean {
  return busy || mailbox.length > 0 || runningCount > 0;
}
