/**
 * One execution's share of a commit, in its three stages: taken, loaded, decided.
 */
import { type LeftChildren, leftChildren, startedChildren } from '../core/children/left-children.ts';
import type { ChildStart, Event, Payload } from '../core/event.ts';
import type { Job } from '../core/jobs.ts';
import { lengthOfLarge } from '../core/json/parse-in-pieces.ts';
import type { Plan } from '../core/plan.ts';
import type { OutgoingEvent } from '../core/scopes/outbox.ts';
import { type ExecutionFailure, emptyView } from '../core/view.ts';
import type { ForkMark } from '../db/control/forks.ts';
import type { ParentEvent } from '../db/scopes/inbox.ts';
import type { ExecutionInsert } from '../db/workflow-execution.ts';
import type { TemplateVersion } from '../template/version.ts';
import type { Actor, Loaded, Mail } from './actor.ts';
import type { ReadInbox } from './scopes/read-inbox.ts';

/** An execution that this commit inserts. */
export interface NewExecution {
  readonly row: Omit<ExecutionInsert, 'status' | 'sequence'>;
  readonly version: TemplateVersion;
  /** Left out: it begins with nothing. */
  readonly fork?: NewFork;
}

/** What an execution has of another one. */
export interface NewFork {
  readonly mark: Omit<ForkMark, 'id'>;
  /** It begins in the commit that inserts it, however busy the engine is: what it reuses is nowhere else. */
  readonly begin: Extract<Event, { type: 'begin_fork' }>;
}

/** A unit whose actor is taken; its events are to be decided. */
export interface Unit {
  readonly actor: Actor;
  readonly mails: readonly Mail[];
  readonly start: NewExecution | null;
  /** Outputs that took time, for the repeated decision of the end at this sequence. */
  readonly finished: FinishedOutputs | null;
  /** It pauses or resumes the execution: no commit of a scope may be on its way meanwhile. */
  readonly changesHold?: boolean;
  /** What was read from the inbox; left out: nothing. A locked commit reads it again. */
  readonly inbox?: ReadInbox | undefined;
}

export interface FinishedOutputs {
  readonly fromSequence: number;
  readonly outputs: string | null;
  /** Set when the outputs could not be made. */
  readonly failure: ExecutionFailure | null;
}

/** A unit with its view. */
export interface LoadedUnit extends Unit {
  readonly loaded: Loaded;
}

/** A unit whose plan can be written. */
export interface DecidedUnit extends LoadedUnit {
  readonly plan: Plan;
  /** Outputs of an execution that the plan completes, as JSON text. */
  readonly outputs: string | null;
  /** Events for views that are not in this commit. Null: none. */
  outbox: OutgoingEvent[] | null;
  /** Child executions that are told something; left out: none. */
  told?: readonly ToldChildren[];
  /** Jobs of what was held back while the execution was paused; left out: none. */
  tickets?: readonly Job[];
}

/** Child executions, and what their parent tells them. */
export interface ToldChildren {
  readonly ids: readonly string[];
  readonly event: ParentEvent;
}

/** Returns whether a commit has opened the scope of the unit: when it fails, there is no such scope. */
export function isOpened({ loaded, plan }: DecidedUnit): boolean {
  return loaded.view.scope !== null && plan.fromSequence === 0;
}

/** Characters of inputs and outputs in one commit, about. Sending them takes several times that memory. */
export const MAX_PAYLOAD = 4 * 1024 * 1024;
/** An input or output with so many characters is committed apart from small ones, so that these need not wait for it. */
export const LARGE_PAYLOAD = 64 * 1024;

/** Takes an actor for a commit, with its events. */
export function takeUnit(actor: Actor, mails: readonly Mail[]): Unit {
  actor.take();
  const inbox = actor.takeNews();
  const unit = { actor, mails, start: null, finished: null };
  return inbox === null ? unit : { ...unit, inbox };
}

/** Returns a unit with the view of an execution that has no rows yet. */
export function startUnit(actor: Actor, start: NewExecution, mails: readonly Mail[] = []): LoadedUnit {
  actor.take();
  const { workspaceId, priority, callbackUrl } = start.row;
  const facts = { version: start.version, workspaceId, priority, callbackUrl, parent: null };
  const loaded = actor.load(facts, emptyView(actor.executionId, start.version.graph));
  return { actor, mails, start, finished: null, loaded };
}

/**
 * Returns the characters of the data that an event brings, about: an output, the inputs of a child, the details of an error,
 * a state, log lines.
 */
export function payloadLength(event: Event): number {
  switch (event.type) {
    case 'complete':
      return event.output.json.length + inputsLength(event.child) + logsLength(event.logs);
    case 'fail':
      return lengthOfLarge(event.error.details) + logsLength(event.logs);
    case 'park':
      return lengthOfLarge(event.state) + inputsLength(event.child) + logsLength(event.logs);
    default:
      return 0;
  }
}

function logsLength(logs: Payload | undefined): number {
  return logs === undefined ? 0 : logs.json.length;
}

function inputsLength(child: ChildStart | undefined): number {
  return child === undefined ? 0 : child.inputs.json.length;
}

/** Returns whether one of the events brings much data. */
export function hasLargePayload(mails: readonly Mail[]): boolean {
  for (const { event } of mails) if (payloadLength(event) >= LARGE_PAYLOAD) return true;
  return false;
}

/** Returns the events of the unit, for the decision. */
export function eventsOf({ mails, inbox }: Unit): Event[] {
  const own = mails.map(({ event }) => event);
  return inbox === undefined ? own : [...inbox.events, ...own];
}

/** Returns whether the unit starts a pending execution: it begins in its turn, here or elsewhere. */
export function isPending({ start, plan }: DecidedUnit): boolean {
  return start !== null && start.row.startAfter === null && !plan.begun;
}

/** Returns whether the unit makes an execution pending: its own, or a child. */
export function linesUp(unit: DecidedUnit): boolean {
  return isPending(unit) || startedChildren(unit.plan).length > 0;
}

/** Returns the children that the unit leaves behind; null: none. */
export function leftBy({ loaded, plan }: DecidedUnit): LeftChildren | null {
  if (!loaded.version.waitsForChildren) return null;
  return leftChildren(plan, (slot) => loaded.step(slot).type.waitsFor === 'child');
}

/** Returns the event of a unit that moves its execution; null: it does something else. */
export function migrationOf({ mails }: Unit): Extract<Event, { type: 'migrate' }> | null {
  for (const { event } of mails) if (event.type === 'migrate') return event;
  return null;
}
