/**
 * Moves the rows of an execution to another version of its template. All run in the transaction that has locked its row, and
 * before the statements of the plan.
 */
import { plainArray, textArray } from '../array-literal.ts';
import type { Db } from '../connection/client.ts';
import type { OpenScope } from '../scopes/ends-below.ts';

export interface MovedStep {
  readonly id: string;
  readonly stepTemplateId: string;
  readonly required: number;
  /** Array literal of jsonb; null: it stays. */
  readonly received: string | null;
}

/** @param error JSON text of the failure that nothing handles; null: there is none */
export async function moveExecution(
  tx: Db,
  id: string,
  templateId: string,
  error: string | null,
): Promise<void> {
  await tx.query({
    name: 'move_execution',
    text: 'update workflow_executions set workflow_template_id = $2, error = $3::jsonb where id = $1',
    values: [id, templateId, error],
  });
}

export async function moveSteps(tx: Db, rows: readonly MovedStep[]): Promise<void> {
  if (rows.length === 0) return;
  await tx.query({
    name: 'move_steps',
    text: `update workflow_step_executions s
              set step_template_id = u.template_id, required_inputs = u.required,
                  received_inputs = coalesce(u.received::jsonb[], s.received_inputs),
                  decided_elsewhere = s.decided_elsewhere or u.received is not null
             from unnest($1::uuid[], $2::uuid[], $3::integer[], $4::text[]) as u(id, template_id, required, received)
            where s.id = u.id`,
    values: [
      plainArray(rows.map(({ id }) => id)),
      plainArray(rows.map(({ stepTemplateId }) => stepTemplateId)),
      plainArray(rows.map(({ required }) => required)),
      textArray(rows.map(({ received }) => received)),
    ],
  });
}

/** Deletes steps with everything that belongs to them, but the steps of their scopes. */
export async function dropSteps(tx: Db, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  await tx.query({
    name: 'drop_steps',
    text: 'delete from workflow_step_executions where id = any($1::uuid[])',
    values: [plainArray(ids)],
  });
}

export async function dropInputs(
  tx: Db,
  pairs: readonly { readonly stepId: string; readonly fromStepId: string }[],
): Promise<void> {
  if (pairs.length === 0) return;
  await tx.query({
    name: 'drop_inputs',
    text: `delete from workflow_input_tracker t using unnest($1::uuid[], $2::uuid[]) as u(step, from_step)
            where t.step_execution_id = u.step and t.from_step_execution_id = u.from_step`,
    values: [
      plainArray(pairs.map(({ stepId }) => stepId)),
      plainArray(pairs.map(({ fromStepId }) => fromStepId)),
    ],
  });
}

/** The path `p` with the name of its first holder replaced by the one in the version. */
const renamed = (path: string, first: string) =>
  `((u.holders ->> ${first}) || substr(${path}, length(${first}) + 1))`;
const HOLDER = `split_part(s.scope, '[', 1)`;

/**
 * Moves the steps and paths of scopes; steps that the version does not have are deleted.
 * @param holders keys of the steps that hold scopes, with the key that each has in the version; null: it is dropped
 */
export async function moveScopes(
  tx: Db,
  executionId: string,
  { from, to }: { readonly from: string; readonly to: string },
  holders: ReadonlyMap<string, string | null>,
): Promise<void> {
  if (holders.size === 0) return;
  const keys = JSON.stringify(Object.fromEntries(holders));
  await tx.query({
    name: 'move_scope_steps',
    text: `update workflow_step_executions s
              set step_template_id = n.id, scope = ${renamed('s.scope', HOLDER)}
             from (select $4::jsonb as holders offset 0) u, workflow_step_templates o, workflow_step_templates n
            where s.workflow_execution_id = $1 and s.scope <> '' and o.id = s.step_template_id
              and o.workflow_template_id = $2 and n.workflow_template_id = $3
              and n.key = ${renamed('o.key', HOLDER)}`,
    values: [executionId, from, to, keys],
  });
  await tx.query({
    name: 'drop_scope_steps',
    text: `delete from workflow_step_executions s using workflow_step_templates o
            where s.workflow_execution_id = $1 and s.scope <> '' and o.id = s.step_template_id
              and o.workflow_template_id = $2`,
    values: [executionId, from],
  });
  if ([...holders].every(([key, now]) => now === null || now === key)) return;
  await tx.query({
    name: 'move_scopes',
    text: `update workflow_scopes s set path = ${renamed('s.path', `split_part(s.path, '[', 1)`)}
             from (select $2::jsonb as holders offset 0) u, workflow_step_executions h
            where h.workflow_execution_id = $1 and s.step_execution_id = h.id
              and (u.holders ->> split_part(s.path, '[', 1)) <> split_part(s.path, '[', 1)`,
    values: [executionId, keys],
  });
}

/** Commits of the scopes that are on their way lose their guard. */
export async function raiseScopes(tx: Db, scopes: readonly OpenScope[]): Promise<void> {
  if (scopes.length === 0) return;
  await tx.query({
    name: 'raise_scopes',
    text: `update workflow_scopes c set sequence = c.sequence + 1
             from unnest($1::uuid[], $2::integer[]) as u(holder, index)
            where c.step_execution_id = u.holder and c.index = u.index`,
    values: [
      plainArray(scopes.map(({ holderId }) => holderId)),
      plainArray(scopes.map(({ index }) => index)),
    ],
  });
}

/** Steps that have not begun ask anew for what limits them. */
export async function dropGrants(tx: Db, stepIds: readonly string[]): Promise<void> {
  if (stepIds.length === 0) return;
  await tx.query({
    name: 'drop_grants',
    text: 'delete from workflow_step_grants where step_execution_id = any($1::uuid[]) and not claimed',
    values: [plainArray(stepIds)],
  });
}
