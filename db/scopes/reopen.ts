/**
 * Clears scopes of an earlier run that are opened anew: their steps go, with all scopes below them.
 */
import { plainArray, textArray } from '../array-literal.ts';
import type { Statement } from '../statement.ts';

export interface ReopenedScope {
  readonly executionId: string;
  readonly path: string;
}

/** Scopes below are found by their holders, level by level: the steps of each level by execution and path. */
const DELETE = deleteBelow('select * from unnest($1::uuid[], $2::text[])');

/**
 * The statement that deletes the steps in scopes, and in all scopes below.
 * @param scopes selects the execution and the path of each
 */
export function deleteBelow(scopes: string): string {
  return `
  with recursive below(execution_id, path) as (
    ${scopes}
    union all
    select b.execution_id, c.path
      from below b
     cross join lateral (select id from workflow_step_executions
                          where workflow_execution_id = b.execution_id and scope = b.path offset 0) s
      join workflow_scopes c on c.step_execution_id = s.id
  )
  delete from workflow_step_executions
   where id in (select s.id from below b
                 cross join lateral (select id from workflow_step_executions
                                      where workflow_execution_id = b.execution_id and scope = b.path offset 0) s)`;
}

export function deleteStepsOf(scopes: readonly ReopenedScope[]): Statement {
  return {
    name: 'delete_steps_of_scopes',
    text: DELETE,
    values: [
      plainArray(scopes.map(({ executionId }) => executionId)),
      textArray(scopes.map(({ path }) => path)),
    ],
  };
}
