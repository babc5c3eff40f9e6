/**
 * Checks every execution against the oracle and the records of the witness, a few hundred at a time.
 *
 * Not here: the log of transitions (transitions.ts) and the invariants of the database (the doctor).
 */
import type { Json, JsonObject } from '../core/json/json.ts';
import type { Pool } from '../db/connection/client.ts';
import { effectOutput } from './behaviour.ts';
import { contradictions, type FoundStep } from './expectation.ts';
import type { Plan, PlannedExecution } from './plan.ts';
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
const FINAL = new Set(['completed', 'failed', 'cancelled', 'timed_out']);

export async function checkExecutions(parts: CheckParts): Promise<CheckedCounts> {
  const { plan, violations, witness } = parts;
  const counts: CheckedCounts = { executions: 0, steps: 0, effects: 0, lostAttempts: 0, byStatus: {} };
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
  const effects = Map.groupBy(await readEffects(witness, ids), ({ execution_id }) => execution_id);
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
    const its = { row, steps: steps.get(row.id) ?? [], effects: effects.get(row.id) ?? [] };
    count(counts, its);
    checkExecution(plan.execution(place), its, complain);
  }
}

interface Its {
  readonly row: ExecutionRow;
  readonly steps: readonly StepRow[];
  readonly effects: readonly EffectRow[];
}

type Complain = (check: string, detail: string) => void;

function count(counts: CheckedCounts, { row, steps, effects }: Its): void {
  counts.executions += 1;
  counts.steps += steps.length;
  counts.effects += effects.length;
  counts.byStatus[row.status] = (counts.byStatus[row.status] ?? 0) + 1;
  for (const { attempt_count, retry_count } of steps)
    counts.lostAttempts += Math.max(0, attempt_count - 1 - retry_count);
}

function checkExecution(planned: PlannedExecution, its: Its, complain: Complain): void {
  const { definition, seed, ending } = planned;
  const { row, steps } = its;
  if (!FINAL.has(row.status)) {
    const open = steps.filter(({ status }) => !['completed', 'failed', 'skipped'].includes(status));
    const where = open.map(({ key, status, attempt_count }) => `${key} ${status} (${attempt_count})`);
    complain('an execution is not final', `${row.status}: ${where.join(', ')}`);
    return;
  }
  const found = new Map<string, FoundStep>(
    steps.map(({ key, status, edges }) => [key, { status, edges: new Map(Object.entries(edges)) }]),
  );
  const end = { status: row.status, errorStep: row.error_step, steps: found };
  for (const detail of contradictions(definition, seed, ending, end))
    complain('an execution did not end as the oracle says', `${definition.name}: ${detail}`);
  checkOutputs(planned, its, complain);
  checkEffects(planned, its, complain);
}

/** The leaves that completed, each with its output. */
function checkOutputs({ definition, seed }: PlannedExecution, { row, steps }: Its, complain: Complain): void {
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
    if (['effect', 'route', 'noop', 'transform'].includes(kind) && !isOutputOf(output, seed, key))
      complain('an output is not what its step gave', `${key}: ${JSON.stringify(output)}`);
  }
}

function isOutputOf(output: Json | undefined, seed: number, key: string): boolean {
  const expected = effectOutput(seed, key);
  const { step, seed: found } = (output ?? {}) as Partial<typeof expected>;
  return step === expected.step && found === expected.seed;
}

function checkEffects({ definition }: PlannedExecution, { steps, effects }: Its, complain: Complain): void {
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
  for (const { id, key, status, attempt_count } of steps) {
    const its = byStep.get(id) ?? [];
    byStep.delete(id);
    if (status === 'skipped' && its.length > 0) complain('a skipped step left an effect', key);
    if (its.some(({ attempt }) => attempt > attempt_count))
      complain('an effect of an attempt that is not on record', `${key} made ${attempt_count} attempts`);
    const { kind } = definition.traits.get(key)!;
    const leaves = kind === 'effect' || kind === 'route';
    if (status === 'completed' && leaves && !its.some(({ attempt }) => attempt === attempt_count))
      complain('a step completed without an effect', `${key}, attempt ${attempt_count}`);
  }
  for (const [id, [effect]] of byStep)
    complain('an effect of a step that is not there', `${effect!.step_key} ${id}`);
}

async function readExecutions(admin: Pool, after: string): Promise<ExecutionRow[]> {
  const { rows } = await admin.query<ExecutionRow>(
    `select id, idempotency_key as key, status, outputs, error ->> 'step' as error_step
       from workflow_executions where id > $1 order by id limit ${BATCH}`,
    [after],
  );
  return rows;
}

async function readSteps(admin: Pool, ids: readonly string[]): Promise<StepRow[]> {
  const { rows } = await admin.query<StepRow>(
    `select s.id, s.workflow_execution_id as execution_id, t.key, s.status, s.attempt_count, s.retry_count,
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
