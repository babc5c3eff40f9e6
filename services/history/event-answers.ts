/**
 * Requests and answers about the events of executions, in the field names of the API.
 */
import type { ExecutionStatus, StepStatus } from '../../core/status.ts';
import type { Caller } from '../caller.ts';
import type { Page } from '../page.ts';
import type { AttemptOutcome } from '../steps/answers.ts';

export const EVENT_TYPES = ['step', 'compensation', 'execution', 'scope'] as const;
export type EventType = (typeof EVENT_TYPES)[number];

/** A change of a step, of an execution, or of a scope. */
export interface EventBody {
  id: string;
  type: EventType;
  /** Null: of the execution, or of the scope. */
  step_id: string | null;
  key: string | null;
  /** The path of the scope that it happened in; '' is the top level. Null: of the execution. */
  scope: string | null;
  /** The status before; null: none, or it is not known any more. */
  from: ExecutionStatus | StepStatus | null;
  to: ExecutionStatus | StepStatus;
  at: string;
  /** Of a step: its attempt. */
  attempt?: number;
  /** How that attempt ended; null: it did not. */
  outcome?: AttemptOutcome | null;
  /** The code of the error, if there is one. */
  error_code?: string | null;
}

/** The stream of events of an execution, or of a scope in it. */
export interface StreamName {
  readonly executionId: string;
  /** Path; empty: the top level. */
  readonly scope: string;
}

export interface EventLogQuery extends StreamName {
  /** Ids of events, which are left out themselves. */
  readonly after?: string | undefined;
  readonly before?: string | undefined;
  readonly limit?: number | undefined;
}

/** Batches of events as they happen. An empty batch is a sign of life. It ends when the execution is deleted. */
export interface EventStream extends AsyncIterable<readonly EventBody[]> {
  /** Ends the stream. */
  close(): void;
}

export interface EventPort {
  log(caller: Caller, query: EventLogQuery): Promise<Page<EventBody>>;
  /**
   * Opens the stream of events after the one with the id, and from the first one without it. Rejects for an execution that the
   * caller does not see.
   */
  stream(caller: Caller, stream: StreamName, after?: string): Promise<EventStream>;
}
