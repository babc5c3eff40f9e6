/**
 * Cancels scopes that are open although the step that holds them does not wait for them, with everything below: as its own
 * end should have.
 */
import { transact } from '../../db/connection/transact.ts';
import { findOffenders } from '../../db/doctor/examine.ts';
import type { SqlInvariant } from '../../db/doctor/invariant.ts';
import { lockExecutions } from '../../db/workflow-execution.ts';
import type { Committer } from '../../door/committer.ts';
import { EndsBelow } from '../../door/scopes/ends-below.ts';
import type { JobRepairOptions } from './repair-jobs.ts';

export const OPEN_SCOPES = 'open-scope-of-step-that-goes-on';

const BEFORE_ALL = '00000000-0000-0000-0000-000000000000';
const MAX_HOLDERS = 1_000;

/** Repairs the scopes of one execution. Returns of how many steps. */
export async function cancelOpenScopes(
  { pool, queue, pgbossSchema }: JobRepairOptions,
  committer: Committer,
  invariant: SqlInvariant,
  executionId: string,
): Promise<number> {
  const [count, below] = await transact(pool, async (tx) => {
    await lockExecutions(tx, [executionId]);
    const asked = { pgbossSchema, graceSeconds: 0, since: BEFORE_ALL, most: MAX_HOLDERS };
    const { rows } = await findOffenders(tx, invariant, { ...asked, executionIds: [executionId] });
    const holders = rows.map(({ id }) => id);
    const ended = await new EndsBelow(queue).cancel(tx, executionId, holders);
    return [holders.length, ended.below] as const;
  });
  committer.endedBelow([below]);
  return count;
}
