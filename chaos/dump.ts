/**
 * Writes everything about the executions with violations, and about the moment, to files.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pool } from '../db/connection/client.ts';

const MAX_DUMPS = 20;

const OF_EXECUTION: Readonly<Record<string, string>> = {
  execution: 'select * from workflow_executions where id = $1',
  definition: `select t.definition from workflow_templates t
                 join workflow_executions e on e.workflow_template_id = t.id where e.id = $1`,
  steps: `select t.key, s.* from workflow_step_executions s
            join workflow_step_templates t on t.id = s.step_template_id
           where s.workflow_execution_id = $1 order by s.sequence`,
  edges: `select i.* from workflow_input_tracker i
            join workflow_step_executions s on s.id = i.step_execution_id
           where s.workflow_execution_id = $1 order by i.received_at`,
  jobs: `select * from pgboss.job where data ->> 'execution_id' = $1::text`,
  scopes: 'select * from workflow_scopes where workflow_execution_id = $1 order by path',
  held: `select h.* from workflow_held_scopes h
           join workflow_step_executions s on s.id = h.step_execution_id where s.workflow_execution_id = $1`,
  transitions: 'select * from chaos.transitions where execution_id = $1 order by position',
  scope_transitions: 'select * from chaos.scope_transitions where execution_id = $1 order by position',
};

const OF_THE_MOMENT: Readonly<Record<string, string>> = {
  engines: 'select * from execution_engines order by started_at',
  limits: 'select * from workflow_step_limits',
  grants: 'select * from workflow_step_grants',
  activity: 'select * from pg_stat_activity where datname = current_database()',
  locks: 'select * from pg_locks where not granted',
};

export async function dump(
  folder: string,
  ids: readonly string[],
  { admin, witness }: { admin: Pool; witness: Pool },
): Promise<void> {
  await writeJson(folder, 'moment.json', await readAll(admin, OF_THE_MOMENT, []));
  for (const id of ids.slice(0, MAX_DUMPS)) {
    const rows = await readAll(admin, OF_EXECUTION, [id]);
    const { rows: effects } = await witness.query(
      'select * from chaos_effects where execution_id = $1 order by position',
      [id],
    );
    await writeJson(folder, `execution-${id}.json`, { ...rows, effects });
  }
  const { rows: faults } = await witness.query('select * from chaos_faults order by from_at');
  await writeJson(folder, 'faults.json', faults);
}

async function readAll(
  pool: Pool,
  queries: Readonly<Record<string, string>>,
  values: readonly string[],
): Promise<Record<string, unknown[]>> {
  const found: Record<string, unknown[]> = {};
  for (const [name, text] of Object.entries(queries))
    found[name] = (await pool.query(text, [...values])).rows;
  return found;
}

async function writeJson(folder: string, name: string, value: unknown): Promise<void> {
  await writeFile(join(folder, name), `${JSON.stringify(value, null, 2)}\n`);
}
