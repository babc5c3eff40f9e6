/**
 * What every engine asks once a second, or when another one has died, takes as long with a million steps behind it as
 * with none: whatever the planner believes of the tables.
 */
import { expect, test } from 'bun:test';
import type { Db, Pool } from '../../../db/connection/client.ts';
import { createPool } from '../../../db/connection/client.ts';
import { stepsHeldBy } from '../../../db/doctor/examine.ts';
import { stepsOfTheDead, unregisterEngine } from '../../../db/engine.ts';
import { countOpen } from '../../../db/scopes/open-views.ts';
import { testDatabase } from '../../support/database/database.ts';
import { fixtureForAll } from '../../support/fixture.ts';

const ENGINE = '00000000-0000-4000-8000-000000000001';
const ASKED: Readonly<Record<string, (db: Db) => Promise<unknown>>> = {
  'steps of the dead': (db) => stepsOfTheDead(db, { self: ENGINE, limit: 1_000 }),
  'steps an engine holds': (db) => stepsHeldBy(db, ENGINE, 10),
  'what an engine leaves behind': (db) => unregisterEngine(db, ENGINE),
  'open executions and steps': (db) => countOpen(db),
};
/** Of a thousand executions of ten steps, those that run while the statistics are made. */
const RUNNING_AT_ANALYZE = [0, 20, 1_000];

let pool: Pool;

fixtureForAll(async (fixture) => {
  const { url } = await fixture.use(testDatabase({ migrated: true }), ({ drop }) => drop());
  const settings = { max: 1, applicationName: 'test', byIndex: true };
  pool = await fixture.use(createPool(url, settings), (each) => each.end());
  await pool.query(`
    alter table workflow_executions set (autovacuum_enabled = off);
    alter table workflow_step_executions set (autovacuum_enabled = off);
    insert into workflow_templates (name, version) values ('history', 1);
    insert into workflow_step_templates (workflow_template_id, key, position)
      select t.id, 's' || n, n from workflow_templates t, generate_series(0, 9) n`);
});

async function fill(running: number): Promise<void> {
  await pool.query(`delete from workflow_executions`);
  await pool.query(
    `insert into workflow_executions (workflow_template_id, status, completed_at)
     select t.id, case when n <= $1 then 'running' else 'completed' end, case when n <= $1 then null else now() end
       from workflow_templates t, generate_series(1, 1000) n`,
    [running],
  );
  await pool.query(
    `insert into workflow_step_executions (workflow_execution_id, step_template_id, status, claimed_by)
     select e.id, s.id, case when e.status = 'running' then 'running' else 'completed' end,
            case when e.status = 'running' then '${ENGINE}'::uuid end
       from workflow_executions e cross join workflow_step_templates s`,
  );
  await pool.query('analyze workflow_executions, workflow_step_executions');
}

for (const running of RUNNING_AT_ANALYZE)
  test.each(Object.entries(ASKED))(
    `%s: only those of open executions are read, after ${running} of 1,000 ran`,
    async (_, ask) => {
      await fill(running);
      const scans = nodesOf(await planOf(ask)).filter(
        (node) => node['Relation Name'] === 'workflow_step_executions',
      );
      expect(scans).not.toEqual([]);
      for (const scan of scans)
        expect(String(scan['Index Cond'] ?? scan['Recheck Cond'])).toContain('workflow_execution_id = ');
    },
  );

/** Of a foreach, whose items are over but for a few. */
const ITEMS = 3_000;
const OPEN_ITEMS = 3;

async function fillScopes(): Promise<void> {
  await fill(1);
  await pool.query(`
    with holder as (
      update workflow_step_executions s set status = 'waiting', claimed_by = null from workflow_executions e
       where e.id = s.workflow_execution_id and e.status = 'running'
         and s.step_template_id = (select id from workflow_step_templates where key = 's9')
      returning s.id, s.workflow_execution_id),
    scopes as (
      insert into workflow_scopes (step_execution_id, index, workflow_execution_id, run, path, status, sequence)
      select h.id, n, h.workflow_execution_id, 1, 's9[' || n || ']',
             case when n <= ${OPEN_ITEMS} then 'running' else 'completed' end, 1
        from holder h, generate_series(1, ${ITEMS}) n returning *)
    insert into workflow_step_executions (workflow_execution_id, step_template_id, scope, holder_id, status, claimed_by)
    select c.workflow_execution_id, t.id, c.path, c.step_execution_id, c.status, '${ENGINE}'
      from scopes c, workflow_step_templates t where t.key = 's0'`);
}

test.each(Object.entries(ASKED))(
  '%s: of the items of a foreach only the open ones are read',
  async (_, ask) => {
    await fillScopes();
    const nodes = nodesOf(await planOf(ask, 'analyze, ')).filter((node) => 'Relation Name' in node);
    expect(nodes.some((node) => node['Relation Name'] === 'workflow_scopes')).toBe(true);
    const read = nodes.reduce((sum, node) => sum + rowsOf(node), 0);
    expect(read).toBeLessThan(100);
  },
);

test('a search for steps of the dead that is not thorough reads none where no engine is dead', async () => {
  await fillScopes();
  const search = (isThorough: boolean) => (db: Db) =>
    stepsOfTheDead(db, { self: ENGINE, limit: 1_000, isThorough });
  const readBy = async (isThorough: boolean) =>
    nodesOf(await planOf(search(isThorough), 'analyze, ')).reduce((sum, node) => sum + rowsOf(node), 0);
  expect(await readBy(true)).toBeGreaterThan(0);
  expect(await readBy(false)).toBe(0);
});

type Plan = { readonly Plans?: readonly Plan[] } & Readonly<Record<string, unknown>>;

/** Returns how many rows a node has read from its table. */
function rowsOf(node: Plan): number {
  if (!('Relation Name' in node)) return 0;
  const number = (name: string) => Number(node[name] ?? 0);
  return (number('Actual Rows') + number('Rows Removed by Filter')) * number('Actual Loops');
}

async function planOf(ask: (db: Db) => Promise<unknown>, how: '' | 'analyze, ' = ''): Promise<Plan> {
  let plan: Plan | null = null;
  const query = async (first: string | { text: string; values: unknown[] }, values: unknown[] = []) => {
    const statement = typeof first === 'string' ? { text: first, values } : first;
    const { rows } = await pool.query(`explain (${how}format json) ${statement.text}`, statement.values);
    plan = rows[0]['QUERY PLAN'][0].Plan;
    return { rows: [], rowCount: 0 };
  };
  await ask({ query } as unknown as Db);
  return plan!;
}

function nodesOf(plan: Plan): Plan[] {
  return [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];
}
