/**
 * Checks the scopes of an execution against what must have become of them.
 */
import type { Pool } from '../../db/connection/client.ts';
import type { PlannedExecution } from '../plan.ts';
import { type HeldTraits, LAST, WORK } from './held.ts';
import { type Fate, type HolderOutcome, holderOutcome } from './outcomes.ts';

export interface ScopeRow {
  readonly execution_id: string;
  readonly path: string;
  readonly status: string;
}

/** The most scopes of a step that were open at once, by the log of transitions. */
export interface OpenScopes {
  readonly execution_id: string;
  /** Path of the holder. */
  readonly holder: string;
  readonly most: number;
}

/** A step in a scope. */
export interface InnerRow {
  readonly id: string;
  readonly execution_id: string;
  readonly scope: string;
  readonly key: string;
  readonly status: string;
  readonly attempt_count: number;
  readonly error_code: string | null;
}

interface FoundStep {
  readonly key: string;
  readonly status: string;
}

export interface FoundScopes {
  /** At the top level. */
  readonly steps: readonly FoundStep[];
  readonly inner: readonly InnerRow[];
  readonly scopes: readonly ScopeRow[];
  readonly open: readonly OpenScopes[];
}

type Complain = (check: string, detail: string) => void;

/**
 * A scope that ended by itself is as it must be, and one whose step completed has ended so; any may have been cancelled with
 * the step that holds it.
 */
export function checkScopes(
  { definition }: PlannedExecution,
  fate: Fate,
  { steps, inner, scopes, open }: FoundScopes,
  complain: Complain,
): void {
  const found: Found = {
    statuses: new Map(scopes.map(({ path, status }) => [path, status])),
    most: new Map(open.map(({ holder, most }) => [holder, most])),
  };
  for (const { scope, key, status } of inner)
    if (found.statuses.get(scope) === 'completed' && status !== 'completed')
      complain('a step of a completed scope did not complete', `${key} in ${scope} is ${status}`);
  for (const { key, status } of steps) {
    const { held } = definition.traits.get(key)!;
    if (held === null) continue;
    checkHolder({ path: key, status }, held, holderOutcome(held, fate, key), found, complain);
  }
  for (const path of found.statuses.keys()) complain('a scope that nobody opened', path);
}

interface Found {
  readonly statuses: Map<string, string>;
  readonly most: ReadonlyMap<string, number>;
}

/** Takes the statuses that it knows out of those that were found. */
function checkHolder(
  { path, status }: { readonly path: string; readonly status: string },
  { concurrency, inner }: HeldTraits,
  { scopes }: HolderOutcome,
  found: Found,
  complain: Complain,
): void {
  const most = found.most.get(path) ?? 0;
  if (most > concurrency)
    complain('more scopes were open at once than allowed', `${path}: ${most} of ${concurrency}`);
  for (const [index, scope] of scopes.entries()) {
    const own = `${path}[${index}]`;
    const is = found.statuses.get(own);
    found.statuses.delete(own);
    const mayBeMissing = status !== 'completed' && (is === undefined || is === 'cancelled');
    if (is !== scope.status && !mayBeMissing)
      complain(
        'a scope did not end as it must',
        `${own} is ${is} and should be ${scope.status}, in a step that is ${status}`,
      );
    if (inner === null) continue;
    const holder = { path: `${own}/${LAST}`, status: is === 'completed' ? 'completed' : 'over' };
    checkHolder(holder, inner, scope.held!, found, complain);
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
    key.endsWith(`/${WORK}`) &&
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
    `select s.id, s.workflow_execution_id as execution_id, s.scope, t.key, s.status, s.attempt_count, s.error_code
       from workflow_step_executions s join workflow_step_templates t on t.id = s.step_template_id
      where s.workflow_execution_id = any($1::uuid[]) and s.scope <> ''`,
    [ids],
  );
  return rows;
}

/** Ends of a transaction make room for its beginnings, in whatever order it writes them. */
export async function readOpenScopes(admin: Pool, ids: readonly string[]): Promise<OpenScopes[]> {
  const { rows } = await admin.query<OpenScopes>(
    `select execution_id, holder_path as holder, max(open)::integer as most
       from (select execution_id, holder_path,
                    sum(change) over (partition by execution_id, holder order by at) as open
               from (select execution_id, holder, min(regexp_replace(path, '\\[[0-9]+\\]$', '')) as holder_path,
                            max(position) as at,
                            sum((from_status is null)::integer - (to_status <> 'running')::integer) as change
                       from chaos.scope_transitions
                      where execution_id = any($1::uuid[])
                        and (from_status is null or (from_status = 'running' and to_status <> 'running'))
                      group by execution_id, holder, transaction) by_transaction) counted
      group by execution_id, holder_path`,
    [ids],
  );
  return rows;
}
