/**
 * The words for what a step waits for. Pure.
 */
import type { StepStatusBody, WaitBody } from '../../services/execution-answers.ts';

const TEXTS: Readonly<Record<string, (wait: WaitBody) => string>> = {
  inputs: () => 'its inputs',
  limit: ({ key, limit, position }) =>
    `${key === null ? 'a limit' : `the limit ${quoted(key)}`} of ${limit}${position == null ? '' : `, number ${position} in line`}`,
  step_type: ({ type }) => `an engine that has the step type ${quoted(type)}`,
  slot: () => 'a free place on an engine',
  engine: ({ id }) => (id == null ? 'an engine that runs steps' : `the engine ${id}, which is silent`),
  start: ({ at, position }) =>
    at == null ? `its turn${position == null ? '' : `, number ${position} in line`}` : `its begin at ${at}`,
  stop: () => 'the end of its grace time',
  paused: () => 'a resume of the execution',
  incident: () => 'somebody to decide: its retries are used up',
  signal: ({ name }) => `the signal ${quoted(name)}`,
  form: ({ title }) => `an answer to the form ${quoted(title)}`,
  webhook: ({ url }) => `a request to ${url ?? 'its URL'}`,
  task: ({ queue, claimed_by: worker }) =>
    worker == null ? `a worker of the queue ${quoted(queue)}` : `the worker ${quoted(worker)}`,
  child: ({ execution_id: id }) => `the execution ${id}`,
  scopes: ({ open }) => `its scopes, ${open} open`,
};

function quoted(value: unknown): string {
  return JSON.stringify(value);
}

/** Returns what a step waits for, without the time; null: a time alone, or nothing that is known. */
export function waitText({ waiting_for: wait }: Pick<StepStatusBody, 'waiting_for'>): string | null {
  return wait == null ? null : (TEXTS[wait.kind]?.(wait) ?? null);
}

/** Returns what a step waits for, and until when; '' for one that does not wait. */
export function waitNote(step: Pick<StepStatusBody, 'status' | 'resume_at' | 'waiting_for'>): string {
  const { status, resume_at: at } = step;
  if (status === 'retrying' && at) return `next attempt ${at}`;
  const waits = status === 'waiting' || status === 'queued' || status === 'retrying';
  const wait = waits ? waitText(step) : null;
  const parts = [wait === null ? '' : `for ${wait}`, at ? `until ${at}` : ''];
  return parts.filter((part) => part !== '').join(', ');
}
