/**
 * Checks the scopes of an execution against what must have become of them.
 */
import type { Pool } from '../db/connection/client.ts';
import type { PlannedExecution } from './plan.ts';
import { type ScopeOutcome, scopeOutcomes } from './scopes.ts';

export interface ScopeRow {
  readonly execution_id: string;
  readonly path: string;
  readonly status: string;
}

/** A step in a scope. */
export interface InnerRow {
  readonly id: string;
  readonly execution_id: string;
  readonly scope: string;
  readonly key: string;
  readonly status: string;
  readonly attempt_count: number;
}

interface FoundStep {
  readonly key: string;
  readonly status: string;
}

type Complain = (check: string, detail: string) => void;

/**
 * A scope that ended by itself is as it must be, and one whose step completed has ended so; any may have been cancelled with
 * the step that holds it.
 */
export function checkScopes(
  { definition, seed }: PlannedExecution,
  { steps, scopes }: { readonly steps: readonly FoundStep[]; readonly scopes: readonly ScopeRow[] },
  complain: Complain,
): void {
  const found = new Map(scopes.map(({ path, status }) => [path, status]));
  for (const { key, status } of steps) {
    const { held } = definition.traits.get(key)!;
    if (held !== null) checkBelow(key, status, scopeOutcomes(held, seed, key), 'last', found, complain);
  }
  for (const path of found.keys()) complain('a scope that nobody opened', path);
}

/** Takes what it knows out of `found`. @param holder path of the step that holds the scopes */
function checkBelow(
  holder: string,
  holderStatus: string,
  outcomes: readonly ScopeOutcome[],
  innerKey: string,
  found: Map<string, string>,
  complain: Complain,
): void {
  for (const [index, { status, scopes }] of outcomes.entries()) {
    const path = `${holder}[${index}]`;
    const is = found.get(path);
    found.delete(path);
    const isRight =
      is === status || (holderStatus !== 'completed' && (is === undefined || is === 'cancelled'));
    if (!isRight)
      complain(
        'a scope did not end as it must',
        `${path} is ${is} and should be ${status}, in a step that is ${holderStatus}`,
      );
    const innerStatus = is === 'completed' ? 'completed' : 'over';
    checkBelow(`${path}/${innerKey}`, innerStatus, scopes, innerKey, found, complain);
  }
}

/** @param effects of this step */
export function checkInner(
  { id, scope, key, status, attempt_count }: InnerRow,
  effects: readonly { readonly attempt: number }[],
  complain: Complain,
): void {
  const name = `${key} ${id} in ${scope}`;
  if (effects.some(({ attempt }) => attempt > attempt_count))
    complain('an effect of an attempt that is not on record', `${name} made ${attempt_count} attempts`);
  const isLost =
    status === 'completed' &&
    key.endsWith('/work') &&
    !effects.some(({ attempt }) => attempt === attempt_count);
  if (isLost) complain('a step completed without an effect', `${name}, attempt ${attempt_count}`);
}

export async function readScopeRows(admin: Pool, ids: readonly string[]): Promise<ScopeRow[]> {
  const { rows } = await admin.query<ScopeRow>(
    'select workflow_execution_id as execution_id, path, status from workflow_scopes where workflow_execution_id = any($1::uuid[])',
    [ids],
  );
  return rows;
}

export async function readInner(admin: Pool, ids: readonly string[]): Promise<InnerRow[]> {
  const { rows } = await admin.query<InnerRow>(
    `select s.id, s.workflow_execution_id as execution_id, s.scope, t.key, s.status, s.attempt_count
       from workflow_step_executions s join workflow_step_templates t on t.id = s.step_template_id
      where s.workflow_execution_id = any($1::uuid[]) and s.scope <> ''`,
    [ids],
  );
  return rows;
}
