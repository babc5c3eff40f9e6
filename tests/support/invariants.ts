/**
 * The last assertion of every integration test: what must hold of a database, read back from its rows.
 *
 * The SQL checks read tables alone, so that they share nothing with the engine; then every execution is loaded
 * as a view and held against core/invariants.ts.
 */
import pg from 'pg';
import { findInInputs, findInJobs, findInView } from '../../core/invariants.ts';
import type { QueueName } from '../../core/plan.ts';
import { isFinalExecution, isFinalStep } from '../../core/status.ts';
import { type ExecutionRow, loadView } from '../../core/view.ts';
import { loadSteps } from '../../db/workflow-step-execution.ts';
import { lintContext } from '../../services/lint-context.ts';
import { TemplateVersions } from '../../services/template-versions.ts';
import { createStepTypes } from '../../steps/registry.ts';
import { recordingSteps } from './steps/recording.ts';

const FINAL_STEP = `('completed', 'failed', 'skipped', 'cancelled')`;
const FINAL_EXECUTION = `('completed', 'failed', 'cancelled', 'timed_out')`;
const STEP_QUEUES = `('StepExecutionQueue', 'MergeExecutionQueue')`;

/** Each answers the ids of what is wrong. */
const CHECKS: Readonly<Record<string, string>> = {
  'a queued step has no job': `
    select s.id from workflow_step_executions s
     where s.status = 'queued'
       and not exists (select 1 from pgboss.job j where j.name in ${STEP_QUEUES} and j.id = s.id)`,
  'a job is for a step that is final or missing': `
    select j.id from pgboss.job j
     where j.data ->> 'step_id' is not null
       and not exists (select 1 from workflow_step_executions s
                        where s.id = (j.data ->> 'step_id')::uuid and s.status not in ${FINAL_STEP})`,
  'a job has another id than its step or execution': `
    select j.id from pgboss.job j
     where j.name in ('WorkflowExecutionQueue', 'StepExecutionQueue', 'MergeExecutionQueue')
       and ((j.data ->> 'kind' in ('step', 'timer') and j.id <> (j.data ->> 'step_id')::uuid)
            or (j.data ->> 'kind' = 'start' and j.id <> (j.data ->> 'execution_id')::uuid))`,
  'a job is active outside a transaction': `select j.id from pgboss.job j where j.state >= 'active'`,
  'a job is left of a final or missing execution': `
    select j.id from pgboss.job j
     where j.data ->> 'execution_id' is not null and j.data ->> 'kind' <> 'callback'
       and not exists (select 1 from workflow_executions e
                        where e.id = (j.data ->> 'execution_id')::uuid and e.status not in ${FINAL_EXECUTION})`,
  'an execution that was put off has no timer': `
    select e.id from workflow_executions e
     where e.status = 'pending' and e.start_after is not null
       and not exists (select 1 from pgboss.job j where j.name = 'WorkflowExecutionQueue' and j.id = e.id)`,
  'a waiting or retrying step has no timer job': `
    select s.id from workflow_step_executions s
     where s.status in ('waiting', 'retrying')
       and not exists (select 1 from pgboss.job j
                        where j.name = 'WorkflowExecutionQueue' and j.id = s.id and j.data ->> 'kind' = 'timer')`,
  'a running step has no living owner': `
    select s.id from workflow_step_executions s
     where s.status = 'running'
       and not exists (select 1 from execution_engines x
                        where x.id = s.claimed_by and x.heartbeat_at > now() - interval '8 seconds')`,
  'a step that is not running has an owner, or a running one has none': `
    select s.id from workflow_step_executions s
     where s.status not in ${FINAL_STEP} and (s.status = 'running') <> (s.claimed_by is not null)`,
  'a step waits for inputs although every edge is resolved': `
    select s.id from workflow_step_executions s
      join workflow_step_templates t on t.id = s.step_template_id
     where s.status = 'waiting_inputs'
       and (select count(*) from workflow_input_tracker i where i.step_execution_id = s.id)
           >= (select count(distinct coalesce(n ->> 'step', n #>> '{}'))
                 from jsonb_array_elements(t.definition -> 'needs') n)`,
  'a step waits for inputs although enough live ones are there': `
    select s.id from workflow_step_executions s
      join workflow_step_templates t on t.id = s.step_template_id
     where s.status = 'waiting_inputs' and coalesce(t.definition ->> 'join', 'all') <> 'all'
       and (select count(*) from workflow_input_tracker i where i.step_execution_id = s.id and i.live) >= s.required_inputs`,
  'an execution is not final although every step is': `
    select e.id from workflow_executions e
     where e.status not in ${FINAL_EXECUTION}
       and (select count(*) from workflow_step_executions s
             where s.workflow_execution_id = e.id and s.scope = '' and s.status in ${FINAL_STEP})
           = (select count(*) from workflow_step_templates t where t.workflow_template_id = e.workflow_template_id)`,
  'a final execution has a step that is not final': `
    select s.id from workflow_executions e join workflow_step_executions s on s.workflow_execution_id = e.id
     where e.status in ${FINAL_EXECUTION} and s.status not in ${FINAL_STEP}`,
  'a final execution lacks a row of a step': `
    select e.id from workflow_executions e
      join workflow_step_templates t on t.workflow_template_id = e.workflow_template_id
     where e.status in ${FINAL_EXECUTION}
       and not exists (select 1 from workflow_step_executions s
                        where s.workflow_execution_id = e.id and s.scope = '' and s.step_template_id = t.id)`,
  'a completed execution has an error, or one that failed has none': `
    select e.id from workflow_executions e
     where (e.status = 'completed' and e.error is not null) or (e.status = 'failed' and e.error is null)`,
  'an edge is tracked twice': `
    select i.step_execution_id as id from workflow_input_tracker i
     group by i.step_execution_id, i.from_step_execution_id having count(*) > 1`,
  'a step has two rows in a scope': `
    select min(s.id::text) as id from workflow_step_executions s
     group by s.workflow_execution_id, s.scope, s.step_template_id having count(*) > 1`,
  'completed_at of an execution and its status differ': `
    select e.id from workflow_executions e where (e.completed_at is not null) <> (e.status in ${FINAL_EXECUTION})`,
  'completed_at of a step and its status differ': `
    select s.id from workflow_step_executions s where (s.completed_at is not null) <> (s.status in ${FINAL_STEP})`,
  'times run backwards': `
    select s.id from workflow_step_executions s
     where s.started_at < s.created_at or s.completed_at < s.started_at
    union all
    select e.id from workflow_executions e
     where e.started_at < e.created_at or e.completed_at < e.started_at`,
  'outputs are there without completion': `
    select s.id from workflow_step_executions s where s.outputs is not null and s.status <> 'completed'
    union all
    select e.id from workflow_executions e where e.outputs is not null and e.status <> 'completed'`,
  'a failed step has no error': `
    select s.id from workflow_step_executions s
     where s.status = 'failed' and (s.error is null or s.error_code is null)`,
  'received_inputs differs from the tracker': `
    select s.id from workflow_step_executions s
     where s.status in ('completed', 'failed', 'skipped')
       and cardinality(s.received_inputs) > (select count(*) from workflow_input_tracker i where i.step_execution_id = s.id)`,
};

export interface InvariantOptions {
  /** Whether everything must be over: no execution that is not final, and no job at all. */
  readonly allFinal?: boolean;
}

/** Throws an Error that lists what does not hold. */
export async function assertInvariants(
  url: string,
  { allFinal = true }: InvariantOptions = {},
): Promise<void> {
  const client = new pg.Client({ connectionString: url, application_name: 'test/invariants' });
  await client.connect();
  try {
    // After a burst the planner knows nothing of the tables yet.
    await client.query('analyze');
    // One snapshot for all of it: between two commits nothing may be amiss.
    await client.query('begin isolation level repeatable read');
    const findings = [...(await findInTables(client, allFinal)), ...(await findInViews(client, url))];
    await client.query('commit');
    if (findings.length > 0) throw new Error(`Invariants are broken:\n${findings.slice(0, 50).join('\n')}`);
  } finally {
    await client.end();
  }
}

async function findInTables(client: pg.Client, allFinal: boolean): Promise<string[]> {
  const findings: string[] = [];
  const over = {
    'an execution is not final': `select id from workflow_executions where status not in ${FINAL_EXECUTION}`,
    'a job is left': `select id from pgboss.job where data ->> 'execution_id' is not null`,
  };
  for (const [what, text] of Object.entries(allFinal ? { ...CHECKS, ...over } : CHECKS)) {
    const { rows } = await client.query(text);
    if (rows.length === 0) continue;
    const examples = rows.slice(0, 3).map(({ id }) => id);
    findings.push(`${what}: ${rows.length} times, as ${examples.join(', ')}`);
  }
  return findings;
}

async function findInViews(client: pg.Client, url: string): Promise<string[]> {
  const versions = templateVersions(url);
  const { rows } = await client.query('select id from workflow_executions order by id');
  const findings: string[] = [];
  for (let from = 0; from < rows.length; from += 100) {
    const ids = rows.slice(from, from + 100).map(({ id }) => id as string);
    findings.push(...(await findInSome(client, versions, ids)));
  }
  return findings;
}

async function findInSome(client: pg.Client, versions: TemplateVersions, ids: string[]): Promise<string[]> {
  const executions = await readExecutions(client, ids);
  const steps = Map.groupBy(await loadSteps(client, ids), ({ executionId }) => executionId);
  const jobs = Map.groupBy(await readJobs(client, ids), ({ executionId }) => executionId);
  const inputs = Map.groupBy(await readInputs(client, ids), ({ executionId }) => executionId);
  const findings: string[] = [];
  for (const { templateId, ...execution } of executions) {
    const version = (await versions.get(client, templateId))!;
    const rows = (steps.get(execution.id) ?? []).map((step) => ({
      ...step,
      position: version.positions.get(step.stepTemplateId)!,
      // A settled row remembers who settled it; a view does not.
      owner: isFinalStep(step.status) ? null : step.owner,
    }));
    const view = loadView(execution, version.graph, rows);
    const found = [
      ...findInView(view),
      ...findInJobs(view, jobs.get(view.id) ?? []),
      ...findInInputs(view, inputs.get(view.id) ?? []),
    ];
    const label = `${version.name} ${view.id}${isFinalExecution(view.status) ? '' : ' (open)'}`;
    findings.push(...found.map(({ code, message }) => `${label}: ${code}: ${message}`));
  }
  return findings;
}

async function readExecutions(
  client: pg.Client,
  ids: readonly string[],
): Promise<(ExecutionRow & { templateId: string })[]> {
  const { rows } = await client.query(
    `select id, workflow_template_id, status, sequence::integer, error,
            stop_requested_at is not null as stopping, stop_reason
       from workflow_executions where id = any($1::uuid[])`,
    [ids],
  );
  return rows.map((row) => ({
    id: row.id,
    templateId: row.workflow_template_id,
    status: row.status,
    sequence: row.sequence,
    stopRequested: row.stopping ? { reason: row.stop_reason } : null,
    failure: row.error,
  }));
}

async function readJobs(client: pg.Client, ids: readonly string[]) {
  const { rows } = await client.query(
    `select name, data ->> 'execution_id' as execution_id, data ->> 'step_id' as step_id from pgboss.job
      where data ->> 'step_id' is not null and data ->> 'execution_id' = any($1)`,
    [ids],
  );
  return rows.map((row) => ({
    executionId: row.execution_id as string,
    queue: row.name as QueueName,
    stepId: row.step_id as string,
  }));
}

async function readInputs(client: pg.Client, ids: readonly string[]) {
  const { rows } = await client.query(
    `select s.workflow_execution_id, i.step_execution_id, i.from_step_execution_id, i.live
       from workflow_input_tracker i join workflow_step_executions s on s.id = i.step_execution_id
      where s.workflow_execution_id = any($1::uuid[])`,
    [ids],
  );
  return rows.map((row) => ({
    executionId: row.workflow_execution_id as string,
    stepId: row.step_execution_id as string,
    fromStepId: row.from_step_execution_id as string,
    live: row.live as boolean,
  }));
}

/** Compiled as an engine with the recording step types compiles them. */
function templateVersions(url: string): TemplateVersions {
  const stepTypes = createStepTypes({
    http: { allow: [], maxResponseBytes: 1, timeoutMs: 1 },
    script: { timeoutMs: 1, memoryBytes: 1 },
    extra: recordingSteps(url, 'invariants'),
  });
  return new TemplateVersions({
    lint: lintContext(stepTypes, { maxSteps: 100_000, maxDepth: 512 }),
    stepTypes,
  });
}
