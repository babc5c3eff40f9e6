/**
 * What one commit writes for one execution, as data: it can be printed, simulated and tested.
 *
 * A plan names steps by slot; what a step's row becomes is its state in the plan's view.
 */
import type { Event, Payload, StepError } from './event.ts';
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
  /** Set when the plan sets the deadline of a parked attempt: milliseconds from now. */
  deadlineMs: number | null;
  /** What a step that is parked by this plan waits for when no timer wakes it. */
  waitingFor: Json;
  /** A claim of this plan began an attempt or went on with a parked one. */
  claimed: boolean;
}

export interface ExecutionEnd {
  readonly status: 'completed' | 'failed' | 'cancelled' | 'timed_out';
  readonly error: ExecutionFailure | null;
}

export interface Plan {
  readonly view: ExecutionView;
  readonly fromStatus: ExecutionStatus;
  readonly fromSequence: number;
  /** Whether anything is to be written. */
  changed: boolean;
  begun: boolean;
  stopping: boolean;
  readonly steps: Map<number, StepChange>;
  readonly inputs: InputRecord[];
  /** Steps that the transition left ready, in breadth-first order; some may be claimed within the plan since. */
  ready: number[];
  /** Steps whose handler, if one is running, must be aborted. */
  readonly aborted: StepState[];
  end: ExecutionEnd | null;
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
    steps: new Map(),
    inputs: [],
    ready: [],
    aborted: [],
    end: null,
    late: [],
  };
}
