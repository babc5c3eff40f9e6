/**
 * The reasons why queued steps have not begun yet, as `waiting_for` shows them.
 *
 * The key of a limit is evaluated as far as it is written out or reads the execution's input: what else it may read is in
 * the memory of the engine that has the step.
 */
import { keyText, limitId, type SharedLimit } from '../../core/limits/step-limit.ts';
import type { Db } from '../../db/connection/client.ts';
import type { ExecutionDetail, StepDetail } from '../../db/execution-queries.ts';
import { readRunnableTypes } from '../../db/ready-work.ts';
import { type MeasuredUse, readLimitUses } from '../../db/step-limit.ts';
import type { CompiledValue } from '../../expression/compiled.ts';
import { createEvaluator } from '../../expression/evaluator.ts';
import { JsonPayload } from '../../payload/json-payload.ts';
import type { OutputStore } from '../../payload/output-store.ts';
import type { CompiledLimits, TemplateVersion } from '../../template/version.ts';
import type { WaitBody } from '../execution-answers.ts';

export interface QueuedOf {
  readonly version: TemplateVersion;
  readonly execution: Pick<ExecutionDetail, 'id' | 'workspaceId' | 'inputs'>;
  readonly steps: readonly StepDetail[];
}

interface SharedKey {
  readonly key: CompiledValue;
  readonly limit: number;
  readonly perMs?: number;
}

/** By the step's id. */
export type QueueWaits = ReadonlyMap<string, WaitBody>;

const NONE: QueueWaits = new Map();
/** Characters of a key that are shown. */
const MAX_KEY_LENGTH = 200;

/** Only what needs no sandbox is evaluated. */
const { evaluate } = createEvaluator({
  evaluateAll: () => Promise.reject(new Error('Keys of limits are shown as far as they need no sandbox.')),
});

/** Returns what each queued step waits for. A step whose limits are not known here is left out. */
export async function readQueueWaits(
  db: Db,
  store: Pick<OutputStore, 'text'>,
  { version, execution, steps }: QueuedOf,
): Promise<QueueWaits> {
  const queued = steps.filter(({ status }) => status === 'queued');
  if (queued.length === 0) return NONE;
  const runnable = await readRunnableTypes(db);
  const compiledOf = ({ stepTemplateId }: StepDetail) =>
    version.steps[version.positions.get(stepTemplateId)!]!;
  const keys = new Keys(execution);
  const limits = new Map<string, readonly SharedLimit[] | null>();
  for (const step of queued) limits.set(step.id, await keys.limitsOf(compiledOf(step).limits));
  const uses = await usesOf(
    db,
    [...limits.values()].flatMap((of) => of ?? []),
  );
  const waits = new Map<string, WaitBody>();
  for (const step of queued) {
    const { type } = compiledOf(step).step;
    const isRunnable = runnable === null || runnable.has(type);
    const wait = isRunnable ? waitOf(limits.get(step.id)!, uses, store) : { kind: 'step_type', type };
    if (wait !== null) waits.set(step.id, wait);
  }
  return waits;
}

/** @param limits null: not known */
function waitOf(
  limits: readonly SharedLimit[] | null,
  uses: ReadonlyMap<string, MeasuredUse>,
  store: Pick<OutputStore, 'text'>,
): WaitBody | null {
  if (limits === null) return null;
  const full = limits.find(({ id, limit }) => {
    const use = uses.get(id);
    return use !== undefined && Math.max(use.running, use.started) >= limit;
  });
  if (full === undefined) return { kind: 'slot' };
  return { kind: 'limit', key: store.text(full.key, MAX_KEY_LENGTH), limit: full.limit };
}

async function usesOf(db: Db, limits: readonly SharedLimit[]): Promise<ReadonlyMap<string, MeasuredUse>> {
  const byId = new Map(limits.map((limit) => [limit.id, limit]));
  return byId.size === 0 ? new Map() : readLimitUses(db, [...byId.values()]);
}

/** Evaluates keys of limits for one execution. */
class Keys {
  readonly #execution: QueuedOf['execution'];
  readonly #input: JsonPayload;

  constructor(execution: QueuedOf['execution']) {
    this.#execution = execution;
    this.#input = new JsonPayload(execution.inputs);
  }

  /** Returns null when one of the keys cannot be evaluated here. */
  async limitsOf(limits: CompiledLimits | null): Promise<readonly SharedLimit[] | null> {
    if (limits === null) return [];
    const found: SharedLimit[] = [];
    const all: readonly (SharedKey | null)[] = [limits.concurrency, limits.rate];
    for (const shared of all) {
      if (shared === null) continue;
      const key = await this.#keyOf(shared.key);
      if (key === null) return null;
      const { limit, perMs = null } = shared;
      found.push({ id: limitId(this.#execution.workspaceId, key, perMs), key, limit, perMs });
    }
    return found;
  }

  async #keyOf(key: CompiledValue): Promise<string | null> {
    if (!key.native || [...key.roots].some((root) => root !== 'input')) return null;
    try {
      if (key.roots.size === 0) return keyText(await evaluate(key, {}));
      await this.#input.parse();
      return keyText(await evaluate(key, { input: this.#input.value }));
    } catch {
      return null;
    }
  }
}
