/**
 * One execution's share of a commit, in the stages it goes through: taken, loaded, decided.
 */
import type { Event } from '../core/event.ts';
import type { ExecutionEnd, Plan } from '../core/plan.ts';
import { emptyView } from '../core/view.ts';
import type { ExecutionInsert } from '../db/workflow-execution.ts';
import type { TemplateVersion } from '../template/version.ts';
import type { Actor, Loaded, Mail } from './actor.ts';

/** An execution that this commit inserts. */
export interface NewExecution {
  readonly row: Omit<ExecutionInsert, 'status' | 'sequence'>;
  readonly version: TemplateVersion;
}

/** Its actor is taken; its events are to be decided. */
export interface Unit {
  readonly actor: Actor;
  readonly mails: readonly Mail[];
  readonly start: NewExecution | null;
  /** Outputs that took time, for when the end of this sequence is decided again. */
  readonly finished: FinishedOutputs | null;
}

export interface FinishedOutputs {
  readonly fromSequence: number;
  readonly end: ExecutionEnd;
  readonly outputs: string | null;
}

/** Its view is at hand. */
export interface LoadedUnit extends Unit {
  readonly loaded: Loaded;
}

/** Its plan can be written. */
export interface DecidedUnit extends LoadedUnit {
  readonly plan: Plan;
  /** Outputs of an execution that the plan completes, as JSON text. */
  readonly outputs: string | null;
}

/**
 * Characters of outputs that one commit takes of steps, and as many of executions; it takes several times as much to
 * send them.
 */
export const MAX_OUTPUT = 16 * 1024 * 1024;

/** Takes an actor, with events for it. */
export function takeUnit(actor: Actor, mails: readonly Mail[]): Unit {
  actor.take();
  return { actor, mails, start: null, finished: null };
}

/** The unit with a view of an execution that has no rows yet. */
export function startUnit(actor: Actor, start: NewExecution, mails: readonly Mail[] = []): LoadedUnit {
  actor.take();
  const { workspaceId, priority, callbackUrl } = start.row;
  const facts = { version: start.version, workspaceId, priority, callbackUrl };
  const loaded = actor.load(facts, emptyView(actor.id, start.version.graph));
  return { actor, mails, start, finished: null, loaded };
}

/** Events of the unit, for the decision. */
export function eventsOf({ mails }: Unit): Event[] {
  return mails.map(({ event }) => event);
}

/** Whether the unit starts an execution that waits in line: it begins when its turn comes, here or elsewhere. */
export function isPending({ start, plan }: DecidedUnit): boolean {
  return start !== null && start.row.startAfter === null && !plan.begun;
}
