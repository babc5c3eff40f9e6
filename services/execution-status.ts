/**
 * Builds the answer of `status`: an execution with its steps, counted and in the order of the definition. Pure.
 */
import type { Json } from '../core/json/json.ts';
import { isFinalExecution, type StepStatus } from '../core/status.ts';
import type { ExecutionDetail, StepDetail, TrackedInput } from '../db/execution-queries.ts';
import type { TemplateVersion } from '../template/version.ts';
import type { ExecutionStatusBody, Progress, StepStatusBody } from './execution-answers.ts';

export interface StatusRows {
  readonly execution: ExecutionDetail;
  readonly steps: readonly StepDetail[];
  readonly inputs: readonly TrackedInput[];
}

export function statusBody(
  version: TemplateVersion,
  rows: StatusRows,
  withOutputs: boolean,
): ExecutionStatusBody {
  const { execution, steps } = rows;
  const final = isFinalExecution(execution.status);
  return {
    execution_id: execution.id,
    status: execution.status,
    stop_requested: execution.stopRequested,
    template: execution.template,
    version: execution.version,
    inputs: execution.inputs as Json,
    outputs: (execution.outputs ?? null) as Json,
    error: final ? execution.error : null,
    progress: countProgress(version.graph.size, steps),
    steps: stepBodies(version, rows, withOutputs),
    created_at: execution.createdAt.toISOString(),
    started_at: isoTime(execution.startedAt),
    completed_at: isoTime(execution.completedAt),
    resume_at: execution.status === 'pending' ? isoTime(execution.startAfter) : null,
  };
}

const COUNTED_AS: Record<StepStatus, keyof Progress> = {
  waiting_inputs: 'waiting',
  queued: 'queued',
  running: 'running',
  waiting: 'waiting',
  retrying: 'queued',
  completed: 'completed',
  failed: 'failed',
  skipped: 'skipped',
  cancelled: 'cancelled',
};

/** Statuses of steps with a possible timer. */
const WAITS: ReadonlySet<StepStatus> = new Set(['waiting', 'retrying']);

/** Steps without a row yet count as waiting, so the counts add up to `total`. */
function countProgress(total: number, steps: readonly StepDetail[]): Progress {
  const progress = {
    total,
    completed: 0,
    failed: 0,
    skipped: 0,
    cancelled: 0,
    running: 0,
    waiting: 0,
    queued: 0,
  };
  for (const { status } of steps) progress[COUNTED_AS[status]] += 1;
  progress.waiting += total - steps.length;
  return progress;
}

function stepBodies(
  version: TemplateVersion,
  { steps, inputs }: StatusRows,
  withOutputs: boolean,
): StepStatusBody[] {
  const keyOf = new Map(steps.map(({ id, stepTemplateId }) => [id, stepKey(version, stepTemplateId)]));
  const received = Map.groupBy(inputs, ({ stepId }) => stepId);
  const positionOf = ({ stepTemplateId }: StepDetail) => version.positions.get(stepTemplateId)!;
  return steps
    .toSorted((a, b) => positionOf(a) - positionOf(b))
    .map((step) => {
      const position = positionOf(step);
      const edges = received.get(step.id) ?? [];
      const body: StepStatusBody = {
        id: step.id,
        key: version.graph.steps[position]!.key,
        type: version.graph.steps[position]!.type,
        scope: step.scope,
        depth: version.graph.depth[position]!,
        status: step.status,
        attempt_count: step.attempt,
        required_inputs: step.required,
        received_inputs: edges.map(({ fromStepId, live, route }) => ({
          key: keyOf.get(fromStepId) ?? '',
          live,
          route,
        })),
        error: stepError(step),
        created_at: step.createdAt.toISOString(),
        started_at: isoTime(step.startedAt),
        completed_at: isoTime(step.completedAt),
        resume_at: WAITS.has(step.status) ? isoTime(step.resumeAt) : null,
      };
      if (withOutputs) body.outputs = (step.outputs ?? null) as Json;
      return body;
    });
}

function stepKey(version: TemplateVersion, stepTemplateId: string): string {
  return version.graph.steps[version.positions.get(stepTemplateId)!]!.key;
}

function stepError({ errorCode, error, errorDetails }: StepDetail): StepStatusBody['error'] {
  return errorCode === null
    ? null
    : { code: errorCode, message: error ?? '', details: (errorDetails ?? null) as Json };
}

export function isoTime(time: Date | null): string | null {
  return time === null ? null : time.toISOString();
}
