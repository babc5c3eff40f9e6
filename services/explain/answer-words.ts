/**
 * The sentences of steps that something of the outside ends: a signal, a form, a request, a worker. Pure.
 */
import type { Reason } from '../../core/explain/reason.ts';
import { needsUser } from '../../core/forms/decisions.ts';
import { type FormWait, formOf } from '../forms/form-wait.ts';
import { count, instant, listed, type Named, quoted } from './text.ts';

type Answer = Extract<Reason, { kind: 'answer' }>;

/** Returns the sentence behind the name of the step. */
export function answerWords({ wait, leaseUntil }: Answer, step: Named): string {
  const timeout = timeoutWords(step);
  switch (wait.kind) {
    case 'signal':
      return `${signalWords(String(wait.name), step)}${timeout}`;
    case 'form':
      return `${formWords(formOf(wait)!, step)}${timeout}`;
    case 'webhook':
      return `${hookWords(step.url())}${timeout}`;
    case 'task':
      return `${taskWords(String(wait.queue), wait.claimed_by ?? null, leaseUntil)}${timeout}`;
    default:
      return `waits for its ${wait.kind}.${timeout}`;
  }
}

function timeoutWords({ deadlineAt }: Named): string {
  return deadlineAt === null
    ? ''
    : ` Without that its attempt fails with a timeout at ${instant(deadlineAt)}.`;
}

function signalWords(name: string, { executionId, scope }: Named): string {
  const body = { execution_id: executionId, signal: name, ...(scope === '' ? {} : { scope }) };
  return `waits for the signal ${quoted(name)}. Whoever has the news sends it (role operator): POST /api/v1/execution/signal with ${JSON.stringify(body)}, and a payload if the step wants one.`;
}

function formWords(form: FormWait, { stepId }: Named): string {
  const { title, assignees, quorum, decisions } = form;
  const user = needsUser(form) ? ', "user_id": …' : '';
  const who = assignees.length === 0 ? 'Anybody' : `One of ${listed(assignees)}`;
  const call = `POST /api/v1/steps/${stepId}/complete`;
  if (quorum === null)
    return `waits for an answer to the form ${quoted(title)}. ${who} can give it: ${call} with { "output": …${user} }.`;
  const approvals = decisions.filter(({ decision }) => decision === 'approve').length;
  const rejections = decisions.length - approvals;
  return `waits for decisions on the form ${quoted(title)}: ${approvals} of ${count(quorum.approve, 'approval')} and ${rejections} of ${count(quorum.reject, 'rejection')} are there. ${who} can decide: ${call} with { "decision": "approve" or "reject"${user} }.`;
}

function hookWords(url: string | null): string {
  return url === null
    ? 'waits for a request to its one-time URL. An operator sees the URL here, and can give it to whoever is to call it.'
    : `waits for a request to its one-time URL: POST ${url}.`;
}

function taskWords(queue: string, worker: unknown, leaseUntil: number | null): string {
  if (worker === null)
    return `waits in the queue ${quoted(queue)}, and no worker has claimed it. Start a worker that claims tasks of this queue (POST /api/v1/tasks/claim).`;
  const lease =
    leaseUntil === null ? 'when its lease runs out' : `when its lease runs out at ${instant(leaseUntil)}`;
  return `is a task of the queue ${quoted(queue)} that the worker ${quoted(worker)} has claimed. The worker completes or fails it, or it is given back to the queue ${lease}, unless the worker renews the lease.`;
}
