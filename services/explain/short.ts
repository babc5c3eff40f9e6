/**
 * A reason in a few words, to stand behind the name of a step. Pure.
 */
import type { WaitingFor } from '../../core/event.ts';
import type { Reason } from '../../core/explain/reason.ts';
import type { StepStatus } from '../../core/status.ts';
import { formOf } from '../forms/form-wait.ts';
import { instant, listed, quoted } from './text.ts';

/** Returns the reason in a few words, behind the name of a step. */
export function shortText(reason: Reason): string {
  switch (reason.kind) {
    case 'running':
      return 'runs';
    case 'silent_engine':
      return 'runs on an engine that is silent';
    case 'timer':
      return reason.at === null ? 'waits for a timer' : `waits until ${instant(reason.at)}`;
    case 'retry':
      return reason.at === null ? 'is to be tried again' : `is tried again at ${instant(reason.at)}`;
    case 'answer':
      return shortAnswer(reason.wait);
    case 'child':
      return `waits for the execution ${reason.id}`;
    case 'scopes':
      return `waits for its scopes, ${reason.held.open} open`;
    case 'limit':
      return `is queued behind the limit ${quoted(reason.limit.key)}`;
    case 'step_type':
      return 'is queued, and no engine has its step type';
    case 'no_engine':
      return 'is queued, and no engine is alive';
    case 'incident':
      return 'has failed, and waits for a decision';
    case 'inputs':
      return 'waits for inputs';
    case 'start':
      return 'has not begun';
    default:
      return 'is queued';
  }
}

/** Returns the state of a step of which only the row is known. */
export function shortState({
  status,
  waitingFor,
}: {
  readonly status: StepStatus;
  readonly waitingFor: WaitingFor | null;
}): string {
  if (status === 'waiting') return waitingFor === null ? 'waits for a timer' : shortAnswer(waitingFor);
  if (status === 'retrying') return 'waits for its next attempt';
  return status === 'running' ? 'runs' : `is ${status}`;
}

function shortAnswer(wait: WaitingFor): string {
  switch (wait.kind) {
    case 'signal':
      return `waits for the signal ${quoted(wait.name)}`;
    case 'form': {
      const { title, assignees } = formOf(wait)!;
      const who = assignees.length === 0 ? '' : ` by ${listed(assignees.slice(0, 3))}`;
      return `waits for an answer to the form ${quoted(title)}${who}`;
    }
    case 'webhook':
      return 'waits for a request to its URL';
    case 'task':
      return wait.claimed_by == null
        ? `waits for a worker of the queue ${quoted(wait.queue)}`
        : `waits for the worker ${quoted(wait.claimed_by)}`;
    case 'child':
      return `waits for the execution ${wait.execution_id}`;
    case 'scopes':
      return 'waits for its scopes';
  }
}
