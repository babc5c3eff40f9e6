/**
 * A wait in two words, for a column: its kind, and the name, key or time of what is waited for.
 */
import type { WaitBody } from '../execution-answers.ts';

/** The field that tells most, by the kind of wait. */
const LABELS: Readonly<Record<string, string>> = {
  timer: 'at',
  retry: 'at',
  start: 'at',
  signal: 'name',
  form: 'title',
  webhook: 'url',
  task: 'queue',
  child: 'execution_id',
  scopes: 'open',
  limit: 'key',
  step_type: 'type',
  incident: 'id',
};
const MAX_LENGTH = 200;

export function waitLabel(wait: WaitBody): [kind: string, text: string] {
  const field = LABELS[wait.kind];
  const value = field === undefined ? null : wait[field];
  return [wait.kind, value === null || value === undefined ? '' : String(value).slice(0, MAX_LENGTH)];
}
