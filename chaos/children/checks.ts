/**
 * Checks the child executions of an execution against what must have become of them.
 */
import type { Pool } from '../../db/connection/client.ts';
import { childFails } from './document.ts';

export interface ChildRow {
  readonly id: string;
  readonly execution_id: string;
  readonly status: string;
  readonly attempt: number;
  /** Of the step that started it. */
  readonly key: string;
  readonly step_status: string;
  readonly step_attempts: number;
}

export interface ChildEffect {
  readonly execution_id: string;
  readonly step_id: string;
  readonly attempt: number;
  readonly visit: number;
}

type Complain = (check: string, detail: string) => void;

/** @param steps of the parent that start children */
export function checkChildren(
  seed: number,
  children: readonly ChildRow[],
  steps: readonly { readonly key: string; readonly status: string; readonly attempt_count: number }[],
  effects: readonly ChildEffect[],
  complain: Complain,
): void {
  for (const { id, status, attempt, key, step_status, step_attempts } of children) {
    const should = childFails(seed, key) ? 'failed' : 'completed';
    const isEnded = status === 'cancelled' && step_status !== 'completed';
    if (status !== should && !isEnded)
      complain(
        'a child did not end as it must',
        `${id} of ${key}, which is ${step_status}, is ${status} and should be ${should}`,
      );
    if (attempt > step_attempts) complain('a child of an attempt that is not on record', `${id} of ${key}`);
  }
  for (const { key, status, attempt_count } of steps)
    if (
      status === 'completed' &&
      !children.some((child) => child.key === key && child.attempt === attempt_count)
    )
      complain('a step completed without a child', `${key}, attempt ${attempt_count}`);
  const runs = effects.map(({ step_id, attempt, visit }) => `${step_id} ${attempt} ${visit}`);
  for (const run of runs.filter((each, at) => runs.indexOf(each) !== at))
    complain('an attempt in a child left its effect twice', run);
}

export async function readChildren(admin: Pool, ids: readonly string[]): Promise<ChildRow[]> {
  const { rows } = await admin.query<ChildRow>(
    `select c.id, c.parent_execution_id as execution_id, c.status, c.parent_attempt as attempt, t.key,
            s.status as step_status, s.attempt_count as step_attempts
       from workflow_executions c
       join workflow_step_executions s on s.id = c.parent_step_id
       join workflow_step_templates t on t.id = s.step_template_id
      where c.parent_execution_id = any($1::uuid[])`,
    [ids],
  );
  return rows;
}
