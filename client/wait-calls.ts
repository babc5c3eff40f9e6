/**
 * The calls on what waits: signals, single steps, forms and tasks.
 */
import type { Json } from '../core/json/json.ts';
import type { InboxQuery } from '../services/forms/inbox-answers.ts';
import type { SignalBody } from '../services/signal-answers.ts';
import type { CompleteBody, FailBody } from '../services/steps/answers.ts';
import type { ClaimBody, FailTaskBody } from '../services/tasks/task-answers.ts';
import { queryOf } from './query.ts';
import type { Call } from './send.ts';
import * as answer from './wait-answers.ts';

export interface ClaimOptions extends ClaimBody {
  /** A duration such as `30s`: answers when there is a task or after this time (at most a minute). */
  wait?: string | undefined;
  signal?: AbortSignal | undefined;
}

export function waitCalls(call: Call) {
  return {
    /** Sends a signal. With a `signal_id` the call may be repeated. */
    signal: (body: SignalBody) => call('POST', '/api/v1/execution/signal', answer.signalled, { body }),
    /** Reads a step with its outputs and attempts. */
    getStep: (stepId: string) => call('GET', stepPath(stepId), answer.oneStep),
    /** Completes a step that waits for a form, a request or a worker; of a form it may be a decision. */
    completeStep: (stepId: string, body: CompleteBody = {}) =>
      call('POST', stepPath(stepId, 'complete'), answer.answered, { body }),
    /** Fails such a step; a form is rejected. */
    failStep: (stepId: string, body: FailBody = {}) =>
      call('POST', stepPath(stepId, 'fail'), answer.answered, { body }),
    /** Lists the forms that wait for people. */
    listForms: (query: InboxQuery = {}) => call('GET', `/api/v1/forms${queryOf({ ...query })}`, answer.forms),
    /** Claims tasks of a queue. */
    claimTasks: async ({ signal, ...body }: ClaimOptions) =>
      (await call('POST', '/api/v1/tasks/claim', answer.claimed, { body, signal })).tasks,
    /** Renews the lease of a claim. */
    heartbeatTask: (taskId: string, token: string) =>
      call('POST', taskPath(taskId, 'heartbeat'), answer.renewed, { body: { token } }),
    completeTask: (taskId: string, token: string, output?: Json) =>
      call('POST', taskPath(taskId, 'complete'), answer.answered, { body: { token, output } }),
    failTask: (taskId: string, token: string, body: FailTaskBody) =>
      call('POST', taskPath(taskId, 'fail'), answer.answered, { body: { token, ...body } }),
  };
}

function stepPath(stepId: string, call?: string): string {
  return `/api/v1/steps/${encodeURIComponent(stepId)}${call === undefined ? '' : `/${call}`}`;
}

function taskPath(taskId: string, call: string): string {
  return `/api/v1/tasks/${encodeURIComponent(taskId)}/${call}`;
}
