/**
 * Compares two executions of one template, also of two versions of it.
 */
import { EngineError } from '../../core/problem.ts';
import { isFinalExecution } from '../../core/status.ts';
import type { Pool } from '../../db/connection/client.ts';
import { type ExecutionDetail, readExecution } from '../../db/execution-queries.ts';
import {
  type ComparedPayloads,
  compareExecutions,
  comparePayloads,
  readComparedSteps,
} from '../../db/reading/compared.ts';
import type { TemplateVersions } from '../../template/versions.ts';
import type { Caller } from '../caller.ts';
import { noScope, visible } from '../visible.ts';
import type { CompareBody, CompareQuery, ExecutionField, FirstDifference } from './compare-answers.ts';
import {
  differencesOf,
  firstOf,
  pairsOf,
  type Side,
  type StepPair,
  shownDifference,
  sideOf,
} from './comparison.ts';

export interface CompareParts {
  readonly pool: Pool;
  readonly versions: TemplateVersions;
}

/** Stored bytes of payloads that the database compares in one statement, and in one comparison. */
const MAX_BYTES_AT_ONCE = 8 * 1_024 * 1_024;
const MAX_BYTES = 256 * 1_024 * 1_024;
const MAX_PAIRS_AT_ONCE = 500;

/** @throws EngineError when one is not there, or they have nothing in common to compare */
export async function compare(
  { pool, versions }: CompareParts,
  caller: Caller,
  { a: idA, b: idB, scope = '' }: CompareQuery,
): Promise<CompareBody> {
  const find = async (id: string) => visible(caller, 'execution', id, await readExecution(pool, id));
  const [a, b] = await Promise.all([find(idA), find(idB)]);
  refuseOthers(a, b);
  const side = async ({ id, templateId }: ExecutionDetail): Promise<Side> => {
    const rows = await readComparedSteps(pool, id, scope);
    if (scope !== '' && rows.length === 0) throw noScope(id, scope);
    return sideOf(await versions.get(pool, templateId), rows);
  };
  const pairs = pairsOf(await side(a), await side(b));
  const payloads = await payloadsOf(pool, pairs);
  const steps = pairs.map((pair) => differencesOf(pair, payloads.get(pair.key) ?? null));
  const whole = scope === '' ? await differencesOfWhole(pool, a, b) : null;
  return {
    template: a.template,
    a: { execution_id: a.id, version: a.version, status: a.status },
    b: { execution_id: b.id, version: b.version, status: b.status },
    first_difference: whole?.inputs ?? firstOf(steps) ?? whole?.end ?? null,
    steps,
  };
}

function refuseOthers(a: ExecutionDetail, b: ExecutionDetail): void {
  if (a.template === b.template && a.workspaceId === b.workspaceId) return;
  const message = `The executions are of two templates, ${a.template} and ${b.template}; compare two of one template.`;
  throw new EngineError('not_comparable', message);
}

/** Compares payloads of steps that are in both, some at a time. @throws EngineError('outputs_too_large') */
async function payloadsOf(pool: Pool, pairs: readonly StepPair[]): Promise<Map<string, ComparedPayloads>> {
  const found = new Map<string, ComparedPayloads>();
  for (const batch of batchesOf(pairs)) {
    const compared = await comparePayloads(
      pool,
      batch.map(({ a, b }) => ({ a, b })),
    );
    for (const [at, { key }] of batch.entries()) found.set(key, compared[at]!);
  }
  return found;
}

interface Payloads {
  readonly key: string;
  readonly a: string;
  readonly b: string;
}

function batchesOf(pairs: readonly StepPair[]): Payloads[][] {
  const batches: Payloads[][] = [];
  let bytes = 0;
  let total = 0;
  for (const { key, a, b } of pairs) {
    if (a?.row === undefined || b?.row === undefined) continue;
    const ofPair = a.row.bytes + b.row.bytes;
    if (ofPair === 0) continue;
    total += ofPair;
    const last = batches.at(-1);
    const fits = last !== undefined && last.length < MAX_PAIRS_AT_ONCE && bytes + ofPair <= MAX_BYTES_AT_ONCE;
    const payloads = { key, a: a.row.id, b: b.row.id };
    if (fits) last.push(payloads);
    else batches.push([payloads]);
    bytes = fits ? bytes + ofPair : ofPair;
  }
  if (total <= MAX_BYTES) return batches;
  const message = `The payloads of the steps have ${total} bytes as they are stored, and a comparison reads at most ${MAX_BYTES}.`;
  throw new EngineError('outputs_too_large', message);
}

/** Differences of the executions themselves: those of the inputs come before the steps, those of the end after them. */
async function differencesOfWhole(
  pool: Pool,
  a: ExecutionDetail,
  b: ExecutionDetail,
): Promise<{ inputs: FirstDifference | null; end: FirstDifference | null }> {
  const { inputs, outputs } = await compareExecutions(pool, a.id, b.id);
  const of = (field: ExecutionField, values: Pick<FirstDifference, 'a' | 'b'>) => ({
    step: null,
    field,
    ...values,
  });
  const [errorA, errorB] = [a, b].map(({ status, error }) => (isFinalExecution(status) ? error : null));
  const ends = [
    a.status === b.status ? null : of('status', { a: a.status, b: b.status }),
    JSON.stringify(errorA) === JSON.stringify(errorB)
      ? null
      : of('error', { a: errorA ?? null, b: errorB ?? null }),
    outputs === null ? null : of('outputs', shownDifference(outputs)),
  ];
  return {
    inputs: inputs === null ? null : of('inputs', shownDifference(inputs)),
    end: ends.find((end) => end !== null) ?? null,
  };
}
