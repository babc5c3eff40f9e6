/**
 * The steps in open scopes that were held back while their execution was paused.
 */
import type { ScopeId } from '../../core/view.ts';
import { plainArray } from '../array-literal.ts';
import type { Db } from '../connection/client.ts';
import { scopeOfStep } from '../scopes/scope.ts';

export interface StepBelow {
  readonly id: string;
  readonly stepTemplateId: string;
  readonly scope: ScopeId;
  readonly isQueued: boolean;
  /** It holds open scopes. */
  readonly holdsOpen: boolean;
  /** It waits for scopes, and more of them may be open. */
  readonly mayOpenMore: boolean;
}

/**
 * Returns the steps of one level that are ready, or hold scopes; the execution is locked against commits of its scopes. Finds the
 * open scopes by workflow_scopes_open, and reads no others.
 */
export async function readHeldBack(
  tx: Db,
  executionId: string,
  holderIds: readonly string[],
): Promise<StepBelow[]> {
  const { rows } = await tx.query({
    name: 'read_held_back',
    text: `select s.id, s.step_template_id, s.scope, s.holder_id, s.status = 'queued' as is_queued,
                  coalesce(h.open_count, 0) > 0 as holds_open,
                  s.status = 'waiting' and h.open_count < h.concurrency
                    and cardinality(h.again) + h.total - h.next_index > 0 as may_open_more
             from (select path from workflow_scopes
                    where step_execution_id = any($2::uuid[]) and status = 'running' offset 0) c
            cross join lateral (select id, step_template_id, scope, holder_id, status from workflow_step_executions
                                 where workflow_execution_id = $1 and scope = c.path offset 0) s
             left join workflow_held_scopes h on h.step_execution_id = s.id
            where s.status = 'queued' or (s.status = 'waiting' and h.step_execution_id is not null)
            order by s.id`,
    values: [executionId, plainArray(holderIds)],
  });
  return rows.map((row) => ({
    id: row.id,
    stepTemplateId: row.step_template_id,
    scope: scopeOfStep(row.holder_id, row.scope)!,
    isQueued: row.is_queued,
    holdsOpen: row.holds_open,
    mayOpenMore: row.may_open_more === true,
  }));
}
