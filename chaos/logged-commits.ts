/**
 * The order in which the steps of executions ended, from the log of transitions.
 */
import type { Pool } from '../db/connection/client.ts';
import { type LoggedCommit, STOP } from './ordered-replay.ts';

interface LoggedRow {
  readonly execution_id: string;
  readonly keys: readonly string[];
}

/** Commits of one execution come one after the other, so any position tells which was first. */
export async function readCommits(
  admin: Pool,
  ids: readonly string[],
): Promise<ReadonlyMap<string, readonly LoggedCommit[]>> {
  const { rows } = await admin.query<LoggedRow>(
    `select l.execution_id, array_agg(coalesce(t.key, '${STOP}')) as keys
       from chaos.transitions l
       left join workflow_step_executions s on s.id = l.step_id
       left join workflow_step_templates t on t.id = s.step_template_id
      where l.execution_id = any($1::uuid[])
        and (l.to_status = 'stopping'
             or (s.scope = '' and l.to_status in ('completed', 'failed', 'skipped')))
      group by l.execution_id, l.transaction
      order by min(l.position)`,
    [ids],
  );
  const commits = Map.groupBy(rows, ({ execution_id }) => execution_id);
  return new Map([...commits].map(([id, its]) => [id, its.map(({ keys }) => keys)]));
}
