/**
 * `waiting_for` as it is shown. Pure.
 */
import { holdOf } from '../../core/explain/hold.ts';
import { incidentGroup } from '../../core/hold/incident-group.ts';
import type { HeldScopes } from '../../core/scopes/held-scopes.ts';
import { isFinalStep } from '../../core/status.ts';
import type { ExecutionDetail, StepDetail } from '../../db/execution-queries.ts';
import type { WaitBody } from '../execution-answers.ts';
import { formOf } from '../forms/form-wait.ts';

/** What queued steps wait for, by the step's id. */
export type QueueWaits = ReadonlyMap<string, WaitBody>;

export interface WaitSurroundings {
  /** The URL of a webhook step; null: the caller does not see it. */
  readonly hookUrl: () => string | null;
  /** The numbers of the scopes of a step that holds some. */
  readonly held?: HeldScopes | undefined;
  readonly execution: HeldExecution;
  /** Whether the step undoes another one. */
  readonly isCompensation?: boolean;
  /** The step in its template: `step` is its path without indexes. */
  readonly place: { readonly template: string; readonly step: string };
  /** What keeps queued steps from beginning. */
  readonly queueWaits: QueueWaits;
}

/** What is said of an execution that holds steps back. */
export type HeldExecution = Pick<ExecutionDetail, 'status' | 'stopRequested' | 'pause' | 'workspaceId'>;

/** Returns what a step that is not final waits for; null: it runs, or the reason is not known. */
export function waitBody(
  { id, status, waitingFor, timerAt, attempt, errorCode }: StepDetail,
  { hookUrl, held, execution, isCompensation = false, place, queueWaits }: WaitSurroundings,
): WaitBody | null {
  if (isFinalStep(status)) return null;
  const { stopRequested: isStopping, pause } = execution;
  const step = { status, waitingFor, held: held ?? null, isCompensation };
  const hold = holdOf({ status: execution.status, isStopping }, step);
  if (hold === 'paused') return { kind: 'paused', by: pause?.by ?? null };
  if (hold !== null) return { kind: 'stop' };
  if (status === 'waiting_inputs') return { kind: 'inputs' };
  if (status === 'queued') return queueWaits.get(id) ?? null;
  const at = timerAt?.toISOString() ?? null;
  if (status === 'retrying' && at === null) return incidentWait(execution, place, errorCode);
  if (status === 'retrying') return { kind: 'retry', at, attempt: attempt + 1 };
  if (status !== 'waiting') return null;
  if (waitingFor === null) return { kind: 'timer', at };
  if (held !== undefined) return { ...waitingFor, open: held.open };
  if (waitingFor.kind === 'webhook') return { kind: 'webhook', url: hookUrl() };
  const form = formOf(waitingFor);
  if (form !== null) return { kind: 'form', title: form.title, assignees: [...form.assignees] };
  return { ...waitingFor };
}

/** Nothing happens to the step until somebody decides; a pause by hand comes first. */
function incidentWait(
  { pause, workspaceId }: HeldExecution,
  { template, step }: WaitSurroundings['place'],
  code: string | null,
): WaitBody {
  if (pause !== null) return { kind: 'paused', by: pause.by };
  return { kind: 'incident', id: incidentGroup(workspaceId, template, step, code ?? '') };
}
