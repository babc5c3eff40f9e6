/**
 * Checks every execution against the oracle and the records of the witness, a few hundred at a time.
 *
 * Not here: the log of transitions (transitions.ts) and the invariants of the database (the doctor).
 */
import type { Json, JsonObject } from '../core/json/json.ts';
import type { Pool } from '../db/connection/client.ts';
import { effectOutput } from './behaviour.ts';
import { type ChildRow, checkChildren, readChildren } from './children/checks.ts';
import { contradictions, type FoundStep } from './expectation.ts';
import { readCommits } from './logged-commits.ts';
import type { LoggedCommit } from './ordered-replay.ts';
import type { Plan, PlannedExecution } from './plan.ts';
import {
  checkInner,
  checkScopes,
  type FoundScopes,
  readInner,
  readOpenScopes,
  readScopeRows,
} from './scopes/checks.ts';
import { type Fate, holderOutcome, isOutputOf as isOutputOfScopes } from './scopes/outcomes.ts';
import type { Violations } from './violations.ts';

export interface CheckParts {
  readonly plan: Plan;
  readonly admin: Pool;
  readonly witness: Pool;
  readonly violations: Violations;
}

export interface CheckedCounts {
  executions: number;
  steps: number;
  scopes: number;
  compensations: number;
  children: number;
  effects: number;
  /** Attempts that were made again because their owner was lost. */
  lostAttempts: number;
  byStatus: Record<string, number>;
}

interface ExecutionRow {
  id: string;
  key: string | null;
  status: string;
  outputs: JsonObject | null;
  error_step: string | null;
}

interface StepRow {
  id: string;
  execution_id: string;
  key: string;
  status: string;
  attempt_count: number;
  retry_count: number;
  error_code: string | null;
  edges: Record<string, boolean>;
}

interface EffectRow {
  execution_id: string;
  step_id: string;
  step_key: string;
  attempt: number;
  visit: number;
  engine: string;
  complaint: string | null;
}

const BATCH = 250;
/** A task fails when so many workers in a row are lost with it. */
const LOSSES = 3;
/** Kinds of steps whose output names the step. */
const GIVES_OWN = new Set(['effect', 'route', 'noop', 'transform', 'wait', 'task', 'child']);
const FINAL = new Set(['completed', 'failed', 'cancelled', 'timed_out']);

export async function checkExecutions(parts: CheckParts): Promise<CheckedCounts> {
  const { plan, violations, witness } = parts;
  const counts: CheckedCounts = {
    executions: 0,
    steps: 0,
    scopes: 0,
    compensations: 0,
    children: 0,
    effects: 0,
    lostAttempts: 0,
    byStatus: {},
  };
  const seen = new Uint8Array(plan.options.executions);
  for (let last = '00000000-0000-0000-0000-000000000000'; ; ) {
    const batch = await readExecutions(parts.admin, last);
    if (batch.length === 0) break;
    last = batch.at(-1)!.id;
    await checkBatch(parts, batch, seen, counts);
  }
  const { rows } = await witness.query<{ place: number; execution_id: string }>(
    'select place, execution_id from chaos_starts order by place',
  );
  for (const { place, execution_id } of rows)
    if (seen[place] === 0)
      violations.add('an acknowledged start is lost', execution_id, `place ${place} of the plan`);
  return counts;
}

async function checkBatch(
  { plan, admin, witness, violations }: CheckParts,
  batch: readonly ExecutionRow[],
  seen: Uint8Array,
  counts: CheckedCounts,
): Promise<void> {
  const ids = batch.map(({ id }) => id);
  const steps = Map.groupBy(await readSteps(admin, ids), ({ execution_id }) => execution_id);
  const inner = Map.groupBy(await readInner(admin, ids), ({ execution_id }) => execution_id);
  const scopes = Map.groupBy(await readScopeRows(admin, ids), ({ execution_id }) => execution_id);
  const open = Map.groupBy(await readOpenScopes(admin, ids), ({ execution_id }) => execution_id);
  const commits = await readCommits(admin, ids);
  const effects = Map.groupBy(await readEffects(witness, ids), ({ execution_id }) => execution_id);
  const children = Map.groupBy(await readChildren(admin, ids), ({ execution_id }) => execution_id);
  const childIds = [...children.values()].flatMap((its) => its.map(({ id }) => id));
  const childEffects = Map.groupBy(await readEffects(witness, childIds), ({ execution_id }) => execution_id);
  const places = batch.map(({ key }) => plan.placeOf(key)).filter((place) => place !== null);
  const acknowledged = await readStarts(witness, places);
  for (const row of batch) {
    const place = plan.placeOf(row.key);
    const complain = (check: string, detail: string) => violations.add(check, row.id, detail);
    if (place === null) {
      complain('an execution that nobody started', `its key is ${row.key}`);
      continue;
    }
    if (seen[place] === 1) complain('one start made two executions', `key ${row.key}`);
    seen[place] = 1;
    const id = acknowledged.get(place);
    if (id !== undefined && id !== row.id)
      complain('one start made two executions', `${id} was acknowledged for ${row.key}`);
    const its = {
      row,
      steps: (steps.get(row.id) ?? []).filter(({ key }) => !isCompensation(key)),
      undone: (steps.get(row.id) ?? []).filter(({ key }) => isCompensation(key)),
      commits: commits.get(row.id) ?? [],
      inner: inner.get(row.id) ?? [],
      scopes: scopes.get(row.id) ?? [],
      open: open.get(row.id) ?? [],
      effects: effects.get(row.id) ?? [],
      children: children.get(row.id) ?? [],
      childEffects: (children.get(row.id) ?? []).flatMap(({ id: child }) => childEffects.get(child) ?? []),
    };
    count(counts, its);
    checkExecution(plan.execution(place), its, complain);
  }
}

interface Its extends FoundScopes {
  readonly row: ExecutionRow;
  readonly steps: readonly StepRow[];
  /** Compensations. */
  readonly undone: readonly StepRow[];
  /** Ends of each commit, at the top level. */
  readonly commits: readonly LoggedCommit[];
  readonly effects: readonly EffectRow[];
  readonly children: readonly ChildRow[];
  /** Of the children's steps. */
  readonly childEffects: readonly EffectRow[];
}

type Complain = (check: string, detail: string) => void;

function isCompensation(key: string): boolean {
  return key.endsWith('~compensation');
}

function count(counts: CheckedCounts, { row, steps, undone, inner, scopes, effects, children }: Its): void {
  counts.executions += 1;
  counts.steps += steps.length + undone.length + inner.length;
  counts.compensations += undone.length;
  counts.scopes += scopes.length;
  counts.children += children.length;
  counts.effects += effects.length;
  counts.byStatus[row.status] = (counts.byStatus[row.status] ?? 0) + 1;
  for (const { attempt_count, retry_count } of steps)
    counts.lostAttempts += Math.max(0, attempt_count - 1 - retry_count);
}

function checkExecution(planned: PlannedExecution, its: Its, complain: Complain): void {
  const { definition, seed, ending } = planned;
  const { row, steps, undone } = its;
  if (!FINAL.has(row.status)) {
    const open = steps.filter(({ status }) => !['completed', 'failed', 'skipped'].includes(status));
    const where = open.map(({ key, status, attempt_count }) => `${key} ${status} (${attempt_count})`);
    complain('an execution is not final', `${row.status}: ${where.join(', ')}`);
    return;
  }
  const found = new Map<string, FoundStep>(
    [...steps, ...undone].map(({ key, status, edges }) => [
      key,
      { status, edges: new Map(Object.entries(edges)) },
    ]),
  );
  const end = { status: row.status, errorStep: row.error_step, steps: found, commits: its.commits };
  const fate = { seed, lost: lostTasks(its, complain) };
  for (const detail of contradictions(definition, fate, ending, end))
    complain('an execution did not end as the oracle says', `${definition.name}: ${detail}`);
  checkOutputs(planned, fate, its, complain);
  checkEffects(planned, its, complain);
  checkScopes(planned, fate, its, complain);
  const starters = steps.filter(({ key }) => definition.traits.get(key)!.kind === 'child');
  checkChildren(seed, its.children, starters, its.childEffects, complain);
}

/** Returns the paths of tasks that failed because three workers in a row were lost. */
function lostTasks({ steps, inner }: Its, complain: Complain): Set<string> {
  const nameOf = (key: string) => key.slice(key.lastIndexOf('/') + 1);
  const all = [
    ...steps.map((step) => ({ ...step, path: step.key })),
    ...inner.map((step) => ({ ...step, path: `${step.scope}/${nameOf(step.key)}` })),
  ];
  const lost = all.filter(({ error_code }) => error_code === 'worker_lost');
  for (const { path, attempt_count } of lost)
    if (attempt_count < LOSSES)
      complain('a task was given up too early', `${path} made ${attempt_count} attempts`);
  return new Set(lost.map(({ path }) => path));
}

/** The leaves that completed, each with its output. */
function checkOutputs(
  { definition, seed }: PlannedExecution,
  fate: Fate,
  { row, steps }: Its,
  complain: Complain,
): void {
  if (row.status !== 'completed') return;
  const producers = new Set(definition.template.steps.flatMap(({ edges }) => edges.map(({ from }) => from)));
  const leaves = steps.filter(({ key, status }) => status === 'completed' && !producers.has(key));
  const names = leaves.map(({ key }) => key).sort();
  const found = Object.keys(row.outputs ?? {}).sort();
  if (names.join() !== found.join())
    complain('outputs are not those of the leaves', `${found} instead of ${names}`);
  for (const key of names) {
    const { kind } = definition.traits.get(key)!;
    const output = row.outputs?.[key];
    const { held } = definition.traits.get(key)!;
    if (held !== null && !isOutputOfScopes(output, seed, held, holderOutcome(held, fate, key)))
      complain('an output is not what its scopes gave', `${key}: ${JSON.stringify(output)}`);
    if (GIVES_OWN.has(kind) && !isOutputOf(output, seed, key))
      complain('an output is not what its step gave', `${key}: ${JSON.stringify(output)}`);
  }
}

function isOutputOf(output: Json | undefined, seed: number, key: string): boolean {
  const expected = effectOutput(seed, key);
  const { step, seed: found } = (output ?? {}) as Partial<typeof expected>;
  return step === expected.step && found === expected.seed;
}

function checkEffects(
  { definition }: PlannedExecution,
  { steps, undone, inner, effects }: Its,
  complain: Complain,
): void {
  const known = new Map<string, string>();
  for (const { step_id, step_key, attempt, visit, engine, complaint } of effects) {
    const run = `${step_id} ${attempt} ${visit}`;
    const other = known.get(run);
    if (other !== undefined)
      complain(
        'an attempt left its effect twice',
        `${step_key}, attempt ${attempt}, on ${other} and ${engine}`,
      );
    known.set(run, engine);
    if (complaint !== null) complain('a handler got what nobody gave it', complaint);
  }
  const byStep = Map.groupBy(effects, ({ step_id }) => step_id);
  for (const { id, key, status, attempt_count } of [...steps, ...undone]) {
    const its = byStep.get(id) ?? [];
    byStep.delete(id);
    if (status === 'skipped' && its.length > 0) complain('a skipped step left an effect', key);
    if (its.some(({ attempt }) => attempt > attempt_count))
      complain('an effect of an attempt that is not on record', `${key} made ${attempt_count} attempts`);
    const kind = definition.traits.get(key)?.kind ?? 'effect';
    const leaves = kind === 'effect' || kind === 'route' || kind === 'task';
    if (status === 'completed' && leaves && !its.some(({ attempt }) => attempt === attempt_count))
      complain('a step completed without an effect', `${key}, attempt ${attempt_count}`);
  }
  for (const step of inner) {
    checkInner(step, byStep.get(step.id) ?? [], complain);
    byStep.delete(step.id);
  }
  // Rows of a scope that was opened anew are new ones.
  const mayBeGone = ({ step_key }: EffectRow) => step_key.includes('.');
  for (const [id, [effect]] of [...byStep].filter(([, [effect]]) => !mayBeGone(effect!)))
    complain('an effect of a step that is not there', `${effect!.step_key} ${id}`);
}

async function readExecutions(admin: Pool, after: string): Promise<ExecutionRow[]> {
  const { rows } = await admin.query<ExecutionRow>(
    `select id, idempotency_key as key, status, outputs, error ->> 'step' as error_step
       from workflow_executions where id > $1 and parent_execution_id is null order by id limit ${BATCH}`,
    [after],
  );
  return rows;
}

async function readSteps(admin: Pool, ids: readonly string[]): Promise<StepRow[]> {
  const { rows } = await admin.query<StepRow>(
    `select s.id, s.workflow_execution_id as execution_id, t.key, s.status, s.attempt_count, s.retry_count, s.error_code,
            coalesce((select jsonb_object_agg(ft.key, i.live)
                        from workflow_input_tracker i
                        join workflow_step_executions f on f.id = i.from_step_execution_id
                        join workflow_step_templates ft on ft.id = f.step_template_id
                       where i.step_execution_id = s.id), '{}') as edges
       from workflow_step_executions s join workflow_step_templates t on t.id = s.step_template_id
      where s.workflow_execution_id = any($1::uuid[]) and s.scope = ''`,
    [ids],
  );
  return rows;
}

async function readEffects(witness: Pool, ids: readonly string[]): Promise<EffectRow[]> {
  const { rows } = await witness.query<EffectRow>(
    `select execution_id, step_id, step_key, attempt, visit, engine, complaint
       from chaos_effects where execution_id = any($1::uuid[])`,
    [ids],
  );
  return rows;
}

async function readStarts(witness: Pool, places: readonly number[]): Promise<Map<number, string>> {
  const { rows } = await witness.query<{ place: number; execution_id: string }>(
    'select place, execution_id from chaos_starts where place = any($1::integer[])',
    [places],
  );
  return new Map(rows.map(({ place, execution_id }) => [place, execution_id]));
}
