/**
 * A reason as `waiting_for` shows it. Pure.
 */
import type { Reason } from '../../core/explain/reason.ts';
import type { WaitBody } from '../execution-answers.ts';
import { formOf } from '../forms/form-wait.ts';

/** @param url of a webhook step; null: the caller does not see it. Returns null for a step that runs. */
export function waitOf(reason: Reason, url: () => string | null): WaitBody | null {
  switch (reason.kind) {
    case 'running':
      return null;
    case 'inputs':
    case 'stop':
      return { kind: reason.kind };
    case 'paused':
      return { kind: 'paused', by: reason.parentId };
    case 'incident':
      return { kind: 'incident', id: reason.id };
    case 'start':
      return { kind: 'start', at: timeOf(reason.at), position: reason.position };
    case 'timer':
      return { kind: 'timer', at: timeOf(reason.at) };
    case 'retry':
      return { kind: 'retry', at: timeOf(reason.at), attempt: reason.attempt };
    case 'slot':
      return { kind: 'slot' };
    case 'no_engine':
      return { kind: 'engine', id: null };
    case 'silent_engine':
      return { kind: 'engine', id: reason.engineId };
    case 'step_type':
      return { kind: 'step_type', type: reason.types[0] ?? null };
    case 'limit': {
      const { key, limit, position } = reason.limit;
      return { kind: 'limit', key, limit, position };
    }
    case 'hidden_limit':
      return { kind: 'limit', key: null, limit: reason.limit, position: null };
    case 'scopes':
      return { kind: 'scopes', open: reason.held.open };
    case 'child':
      return { kind: 'child', execution_id: reason.id };
    case 'answer':
      return answerOf(reason, url);
  }
}

function answerOf({ wait }: Extract<Reason, { kind: 'answer' }>, url: () => string | null): WaitBody {
  if (wait.kind === 'webhook') return { kind: 'webhook', url: url() };
  const form = formOf(wait);
  if (form !== null) return { kind: 'form', title: form.title, assignees: [...form.assignees] };
  return { ...wait };
}

function timeOf(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
