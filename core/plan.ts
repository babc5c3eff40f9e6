/**
 * The writes of one commit for one execution, as data: it can be printed, simulated and tested.
 *
 * A plan names steps by slot; the new row of a step is its state in the plan's view.
 */
import type { Act } from './control/act.ts';
import type { ReusedStep } from './control/fork/reused-step.ts';
import type { ChildStart, Event, Payload, ScopeItems, StepError, TaskClaim, WaitingFor } from './event.ts';
import type { ReceivedInput } from './graph.ts';
import type { Json } from './json/json.ts';
import type { ExecutionStatus, StepStatus } from './status.ts';
import type { ExecutionFailure, ExecutionView, StepState } from './view.ts';

/** One resolved edge: a row of workflow_input_tracker. */
export interface InputRecord {
  readonly edge: number;
  readonly target: StepState;
  readonly producer: StepState;
  readonly live: boolean;
  readonly route: string | null;
}

export interface StepTimer {
  readonly afterMs: number;
  readonly purpose: 'resume' | 'timeout';
}

/** The claim of a task from now on. */
export interface TaskChange {
  readonly queue: string;
  /** Null: the task is free. */
  readonly claim: TaskClaim | null;
  /** Claims that were lost in a row; null: as many as before. */
  readonly losses: number | null;
}

/** A change by hand. */
export interface ControlledStep {
  /** The step was over, and is reset. */
  readonly isReset: boolean;
  /** Who ends the step by hand, and how; null: nobody does. */
  readonly byHand: Act | null;
}

export interface StepChange {
  readonly state: StepState;
  /** The row as the plan found it; null: the plan inserts it. */
  readonly from: {
    readonly status: StepStatus;
    readonly attempt: number;
    readonly owner: string | null;
    readonly hasDeadline: boolean;
    readonly hasTimer: boolean;
  } | null;
  /** Set when this plan decided the step's join. */
  received: readonly ReceivedInput[] | null;
  output: Payload | null;
  error: StepError | null;
  timer: StepTimer | null;
  parkedState: Json;
  /** Milliseconds from now. Set when the plan sets the deadline of a parked attempt. */
  deadlineMs: number | null;
  /** What a step parked by this plan waits for besides its timer. */
  waitingFor: WaitingFor | null;
  /** The answer of the outside that ended the wait; null: none did. */
  answerId: string | null;
  /** The kept signal that the answer uses up; null: none. */
  usedSignal: string | null;
  /** A task that was claimed, or given back; null: neither. */
  task: TaskChange | null;
  /** Set when the step would have failed for good, and pauses its execution instead. */
  incident: { readonly retryable: boolean } | null;
  /** The child whose end ended the wait; null: none did. */
  endedChild: string | null;
  /** A claim of this plan began an attempt or resumed a parked one. */
  claimed: boolean;
  /** Null: the step is not changed by hand. */
  control: ControlledStep | null;
}

/** `given_back`: by an engine that drains; the next attempt has the same number. */
export type EndedOutcome = 'failed' | 'timed_out' | 'lost' | 'given_back';

/** An attempt that ended otherwise than with its step completed or cancelled. */
export interface EndedAttempt {
  readonly state: StepState;
  readonly attempt: number;
  /** The engine that had it; null: it was parked. */
  readonly owner: string | null;
  readonly outcome: EndedOutcome;
  readonly error: StepError | null;
}

export interface ExecutionEnd {
  readonly status: 'completed' | 'failed' | 'cancelled' | 'timed_out';
  readonly error: ExecutionFailure | null;
}

export interface OpenedScope {
  readonly slot: number;
  readonly index: number;
  readonly run: number;
  /** Whether it is opened for the first time: there is no row of an earlier run. */
  readonly isNew: boolean;
}

/** A scope that is over and is undone from now on. */
export interface UndoneScope {
  readonly slot: number;
  readonly index: number;
}

/** `stop`: scopes with running steps get grace time. `cancel`: they end at once. */
export type EndBelow = 'stop' | 'cancel';

/** Changes in the scopes that steps hold. */
export interface ScopeChanges {
  /** Scopes to begin, each by its holder's slot and its index. */
  opened: OpenedScope[];
  /** Scopes to undo, each by its holder's slot and its index. */
  undone: UndoneScope[];
  /** Steps whose scopes' numbers have changed. */
  readonly counted: Set<number>;
  /**
   * Steps whose open scopes must end with this plan, and everything below them, by slot. Each has one end, the last that the
   * plan decided: a `cancel` after a `stop` has counted the scopes already.
   */
  readonly endedBelow: Map<number, EndBelow>;
  /** Items to store, with the slot of their holder. */
  readonly items: { readonly slot: number; readonly pieces: readonly ScopeItems[] }[];
}

/** A child execution that a plan starts. */
export interface StartedChild {
  readonly slot: number;
  readonly attempt: number;
  readonly child: ChildStart;
  /** Whether its step waits for its end. */
  readonly isAwaited: boolean;
}

/** What a retry changes besides steps. */
export interface PlanOfRepair {
  /** Edges that were resolved and are open again. */
  readonly reopened: { readonly target: StepState; readonly producer: StepState }[];
  /** Ids of compensations that are gone: what they undid is done anew. */
  readonly removed: string[];
  /** Slots of holders whose scopes are gone: they evaluate what they hold anew. */
  readonly discarded: number[];
  /** Child executions that are retried in place. */
  readonly children: string[];
}

export interface Plan {
  readonly view: ExecutionView;
  readonly fromStatus: ExecutionStatus;
  readonly fromSequence: number;
  /** Whether there is something to write. */
  changed: boolean;
  begun: boolean;
  stopping: boolean;
  /** The plan makes the execution compensating. */
  compensating: boolean;
  readonly steps: Map<number, StepChange>;
  readonly inputs: InputRecord[];
  /** Steps that the transition left ready, in breadth-first order; the plan may have claimed some since. */
  ready: number[];
  /** Attempts that ended otherwise than with their step completed or cancelled; null: none. */
  attempts: EndedAttempt[] | null;
  /** Null: nothing changes in the scopes that steps hold. */
  scopes: ScopeChanges | null;
  /** A step waits for a signal, or a request, from now on: somebody must look whether one was kept. */
  awaitsSignal: boolean;
  /** A task is free from now on: workers outside may be waiting for one. */
  offersTask: boolean;
  /** Null: the plan starts no child execution. */
  children: StartedChild[] | null;
  /** Steps whose handler, if one is running, must be aborted. */
  readonly aborted: StepState[];
  end: ExecutionEnd | null;
  /** A cancel has ended it. */
  cancelled: boolean;
  /** Null: the plan is not that of a retry. */
  repair: PlanOfRepair | null;
  /** A pause begins or ends with it. */
  pausing: boolean;
  /** What was done by hand with this plan; null: nothing. */
  acts: Act[] | null;
  /** Steps that a fork takes over from another execution, by slot; null: none. */
  reused: ReadonlyMap<number, ReusedStep> | null;
  /** Somebody must look at the view again once the plan is committed: it may be over, and its outputs are not readable before. */
  looksAgain: boolean;
  /** Events that came too late to change anything. */
  readonly late: Event[];
}

export function emptyPlan(view: ExecutionView): Plan {
  return {
    view,
    fromStatus: view.status,
    fromSequence: view.sequence,
    changed: false,
    begun: false,
    stopping: false,
    compensating: false,
    steps: new Map(),
    inputs: [],
    ready: [],
    attempts: null,
    scopes: null,
    awaitsSignal: false,
    offersTask: false,
    children: null,
    aborted: [],
    end: null,
    cancelled: false,
    repair: null,
    pausing: false,
    acts: null,
    reused: null,
    looksAgain: false,
    late: [],
  };
}

/** Returns the changes in scopes, to add some. Made when first needed: most plans have none. */
export function scopeChanges(plan: Plan): ScopeChanges {
  plan.scopes ??= { opened: [], undone: [], counted: new Set(), endedBelow: new Map(), items: [] };
  return plan.scopes;
}

/** Returns what a retry changes, to add to it. */
export function repairOf(plan: Plan): PlanOfRepair {
  plan.repair ??= { reopened: [], removed: [], discarded: [], children: [] };
  return plan.repair;
}
