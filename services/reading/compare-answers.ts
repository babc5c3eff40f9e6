/**
 * The comparison of two executions, in the field names of the API.
 */
import type { Json } from '../../core/json/json.ts';
import type { ExecutionStatus, StepStatus } from '../../core/status.ts';

export interface CompareQuery {
  /** Ids of executions. */
  a: string;
  b: string;
  /** Path of a scope that both have; left out: the top level. */
  scope?: string | undefined;
}

/** `missing`: only one of the versions has the step. */
export const STEP_FIELDS = [
  'missing',
  'type',
  'status',
  'route',
  'error',
  'output',
  'attempt_count',
] as const;
export type StepField = (typeof STEP_FIELDS)[number];
/** Of the execution itself. */
export const EXECUTION_FIELDS = ['inputs', 'status', 'error', 'outputs'] as const;
export type ExecutionField = (typeof EXECUTION_FIELDS)[number];

export interface ComparedStepBody {
  type: string;
  status: StepStatus;
  attempt_count: number;
  route: string[] | null;
  error: { code: string; message: string } | null;
  /** Only where it differs: the value, or the beginning of its text when it is long. */
  output?: Json;
  ran_ms: number | null;
}

export interface StepDifferences {
  key: string;
  differs: StepField[];
  /** Null: this version has no such step. */
  a: ComparedStepBody | null;
  b: ComparedStepBody | null;
}

export interface ComparedExecutionBody {
  execution_id: string;
  version: number;
  status: ExecutionStatus;
}

export interface FirstDifference {
  /** Null: the execution itself. */
  step: string | null;
  field: StepField | ExecutionField;
  a: Json;
  b: Json;
}

export interface CompareBody {
  template: string;
  a: ComparedExecutionBody;
  b: ComparedExecutionBody;
  first_difference: FirstDifference | null;
  /** All steps, in breadth-first order. */
  steps: StepDifferences[];
}
