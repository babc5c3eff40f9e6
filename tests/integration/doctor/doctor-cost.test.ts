/**
 * The doctor's work grows with the rows it looks at: twice the rows are twice the work, for every question, whatever the
 * planner believes of the tables. Counted is what the database touched, so that no clock is asked.
 */
import { expect, test } from 'bun:test';
import type { Db, Pool } from '../../../db/connection/client.ts';
import { createPool } from '../../../db/connection/client.ts';
import { examineTables, findOffenders, SQL_INVARIANTS } from '../../../db/doctor/examine.ts';
import type { SqlInvariant } from '../../../db/doctor/invariant.ts';
import { readInputs, readStepJobs } from '../../../db/doctor/views.ts';
import { testDatabase } from '../../support/database/database.ts';
import { fixtureForEach } from '../../support/fixture.ts';

/** Executions in the small database; the large one has twice as many. */
const EXECUTIONS = 120;
/** More than twice the work for twice the rows, and far from four times. */
const MAX_GROWTH = 2.9;
/** Rows and pages that may come and go with the catalogue and its caches. */
const NOISE = 2_000;
const EVERYTHING = '00000000-0000-0000-0000-000000000000';

let pool: Pool;

fixtureForEach(async (fixture) => {
  const { url } = await fixture.use(testDatabase({ migrated: true }), ({ drop }) => drop());
  const settings = { max: 1, applicationName: 'test', byIndex: true };
  pool = await fixture.use(createPool(url, settings), (made) => made.end());
  await pool.query(`
    do $$
    declare
      one regclass;
    begin
      for one in select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
                  where c.relkind = 'r' and n.nspname in ('public', 'pgboss') loop
        execute format('alter table %s set (autovacuum_enabled = off)', one);
      end loop;
    end $$`);
});

/** Executions of eighteen steps in six levels of three, half of them under way; four share a template. */
async function add(from: number, to: number): Promise<void> {
  await pool.query(
    `insert into workflow_templates (name, version, definition_source)
     select 'cost-' || n, 1, '{}' from generate_series($1::integer, $2::integer, 4) n`,
    [from, to],
  );
  await pool.query(
    `insert into workflow_step_templates (workflow_template_id, key, type, position, definition)
     select t.id, 's' || n, 'noop', n,
            case when n < 3 then '{"type":"noop"}'::jsonb
                 else jsonb_build_object('type', 'noop', 'needs', jsonb_build_array(
                        's' || (n / 3 * 3 - 3), 's' || (n / 3 * 3 - 2), 's' || (n / 3 * 3 - 1))) end
       from workflow_templates t, generate_series(0, 17) n
      where not exists (select from workflow_step_templates s where s.workflow_template_id = t.id)`,
  );
  await pool.query(
    `insert into workflow_executions (workflow_template_id, status, started_at, completed_at)
     select t.id, case when n % 2 = 0 then 'running' else 'completed' end, now(), case when n % 2 = 0 then null else now() end
       from generate_series($1::integer, $2::integer) n
       join workflow_templates t on t.name = 'cost-' || ($1 + (n - $1) / 4 * 4)`,
    [from, to],
  );
  await pool.query(
    `insert into workflow_step_executions
       (workflow_execution_id, step_template_id, status, started_at, completed_at, outputs, required_inputs)
     select e.id, t.id, case when done then 'completed' when t.position < 15 then 'queued' else 'waiting_inputs' end,
            case when done then now() end, case when done then now() end, case when done then '1'::jsonb end, 3
       from workflow_executions e join workflow_step_templates t on t.workflow_template_id = e.workflow_template_id
      cross join lateral (select e.status = 'completed' or t.position < 12 as done) d
      where not exists (select from workflow_step_executions s where s.workflow_execution_id = e.id)`,
  );
  await pool.query(
    `insert into workflow_input_tracker (step_execution_id, from_step_execution_id)
     select s.id, p.id
       from workflow_step_executions s join workflow_step_templates t on t.id = s.step_template_id
       join workflow_step_executions p on p.workflow_execution_id = s.workflow_execution_id and p.status = 'completed'
       join workflow_step_templates u on u.id = p.step_template_id and u.position / 3 = t.position / 3 - 1
     on conflict do nothing`,
  );
  await pool.query(
    `insert into pgboss.job (id, name, data, priority, keep_until, policy)
     select s.id, 'StepExecutionQueue',
            jsonb_build_object('kind', 'step', 'execution_id', s.workflow_execution_id, 'step_id', s.id), 0,
            now() + interval '10 years', 'standard'
       from workflow_step_executions s where s.status = 'queued'
     on conflict do nothing`,
  );
}

const ANALYZE =
  'analyze workflow_executions, workflow_step_executions, workflow_step_templates, workflow_input_tracker';
/** What the planner knows: when statistics were made. */
const STATISTICS: Readonly<Record<string, { empty?: boolean; few?: boolean; full?: boolean }>> = {
  'never analysed': {},
  'analysed while empty': { empty: true },
  'analysed with four executions': { few: true },
  analysed: { full: true },
};

for (const [name, when] of Object.entries(STATISTICS))
  test(`twice the rows are twice the work, on tables ${name}`, async () => {
    if (when.empty) await pool.query(ANALYZE);
    await add(1, 4);
    if (when.few) await pool.query(ANALYZE);
    await add(5, EXECUTIONS);
    if (when.full) await pool.query(ANALYZE);
    const small = await workOfAll();
    await add(EXECUTIONS + 1, 2 * EXECUTIONS);
    if (when.full) await pool.query(ANALYZE);
    const large = await workOfAll();
    const grown = [...large].filter(([what, work]) => work > MAX_GROWTH * small.get(what)! + NOISE);
    expect(grown.map(([what, work]) => [what, small.get(what), work])).toEqual([]);
  });

/** Rows and pages that each question touches. */
async function workOfAll(): Promise<Map<string, number>> {
  const all = new Map<string, number>();
  for (const invariant of SQL_INVARIANTS)
    all.set(
      invariant.name,
      await workOf((db) =>
        findOffenders(db, invariant, {
          pgbossSchema: 'pgboss',
          graceSeconds: 0,
          since: EVERYTHING,
          most: 10,
        }),
      ),
    );
  // A page of the whole has a bounded number of executions, however many there are beside it.
  const { rows } = await pool.query(
    `select s.id, s.workflow_execution_id as execution from workflow_step_executions s order by s.workflow_execution_id limit 500`,
  );
  const ids = [...new Set<string>(rows.map(({ execution }) => execution))];
  all.set(
    'jobs of a page',
    await workOf((db) =>
      readStepJobs(
        db,
        'pgboss',
        rows.map(({ id }) => id),
      ),
    ),
  );
  all.set('inputs of a page', await workOf((db) => readInputs(db, ids)));
  return all;
}

interface Plan {
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly 'Rows Removed by Join Filter'?: number;
  readonly 'Rows Removed by Index Recheck'?: number;
  readonly 'Shared Hit Blocks'?: number;
  readonly 'Shared Read Blocks'?: number;
  readonly Plans?: readonly Plan[];
}

async function workOf(ask: (db: Db) => Promise<unknown>): Promise<number> {
  let work = 0;
  const query = async (text: string, values: unknown[]) => {
    const { rows } = await pool.query(`explain (analyze, buffers, timing off, format json) ${text}`, values);
    const plan: Plan = rows[0]['QUERY PLAN'][0].Plan;
    work = rowsIn(plan) + (plan['Shared Hit Blocks'] ?? 0) + (plan['Shared Read Blocks'] ?? 0);
    return { rows: [] };
  };
  await ask({ query } as unknown as Db);
  return work;
}

function rowsIn(plan: Plan): number {
  const perLoop =
    plan['Actual Rows'] +
    (plan['Rows Removed by Filter'] ?? 0) +
    (plan['Rows Removed by Join Filter'] ?? 0) +
    (plan['Rows Removed by Index Recheck'] ?? 0);
  const own = perLoop * plan['Actual Loops'];
  return (plan.Plans ?? []).reduce((sum, child) => sum + rowsIn(child), own);
}

test('a question that takes all the time there is keeps none of the others from an answer', async () => {
  await add(1, 4);
  const endless: SqlInvariant = { ...SQL_INVARIANTS[0]!, name: 'endless', offenders: ENDLESS };
  const client = await pool.connect();
  try {
    await client.query('begin');
    // It takes none of the others' time away, and neither does a busy machine.
    const leftMs = () => 1_500;
    const asked = { pgbossSchema: 'pgboss', graceSeconds: 0, since: EVERYTHING, most: 10 };
    const { unanswered } = await examineTables({ db: client, leftMs }, [endless, ...SQL_INVARIANTS], asked);
    expect(unanswered.map(({ name }) => name)).toEqual(['endless']);
  } finally {
    await client.query('rollback');
    client.release();
  }
});

const ENDLESS = `select null::uuid as id, null::uuid as execution_id, 'never' as detail
                   from generate_series(1, 1000000) a, generate_series(1, 1000000) b where a + b < 0`;
