/**
 * Reads the limits of queued steps with their present use, the steps that hold them, and the places in line.
 */
import type { LimitFacts } from '../../core/explain/reason.ts';
import type { SharedLimit } from '../../core/limits/step-limit.ts';
import type { Db } from '../../db/connection/client.ts';
import { type LinedUp, readLimitHolders, readLine } from '../../db/explain/holders.ts';
import { type MeasuredUse, readLimitUses } from '../../db/step-limit.ts';
import { readManyInputs } from '../../db/workflow-execution.ts';
import type { OutputStore } from '../../payload/output-store.ts';
import type { CompiledLimits, TemplateVersion } from '../../template/version.ts';
import { type Evaluate, LimitKeys, readsInput } from './limit-keys.ts';

export interface LimitSources {
  readonly db: Db;
  readonly store: Pick<OutputStore, 'text'>;
  readonly evaluate: Evaluate;
}

export interface QueuedLimits {
  readonly version: TemplateVersion;
  readonly workspaceId: string | null;
  /** JSON text; null: not read. */
  readonly inputs: string | null;
  readonly steps: readonly { readonly id: string; readonly stepTemplateId: string }[];
}

/** By the id of the step; null: not known here. */
export type LimitsById = ReadonlyMap<string, readonly LimitFacts[] | null>;

/** Characters of a key that are shown. */
const MAX_KEY_LENGTH = 200;
/** Inputs that are read for the keys of other executions, all together. */
const MAX_INPUT_BYTES = 1024 * 1024;

/** Returns the limits of queued steps with their use, without holders and places. */
export async function readLimits(sources: LimitSources, queued: QueuedLimits): Promise<LimitsById> {
  return new LimitReading(sources, await sharedLimits(sources, queued)).facts();
}

export interface LineSources extends LimitSources {
  readonly jobTable: string;
  readonly versions: { get(db: Db, id: string): Promise<TemplateVersion> };
}

/** Returns the same with the steps that hold them, and the places in line. */
export async function readLimitsInFull(sources: LineSources, queued: QueuedLimits): Promise<LimitsById> {
  const { db } = sources;
  const reading = new LimitReading(sources, await sharedLimits(sources, queued));
  const full = await reading.fullLimits();
  if (full.length === 0) return reading.facts();
  const holders = await readLimitHolders(db, full);
  const line = await readLine(db, sources.jobTable, queued.workspaceId);
  const places = line === null ? new Map() : await placesIn(sources, queued.workspaceId, line);
  return reading.facts(holders, places);
}

type Shared = ReadonlyMap<string, readonly SharedLimit[] | null>;

async function sharedLimits(
  { evaluate }: LimitSources,
  { version, workspaceId, inputs, steps }: QueuedLimits,
): Promise<Shared> {
  const keys = new LimitKeys(evaluate, workspaceId, inputs);
  const limits = new Map<string, readonly SharedLimit[] | null>();
  for (const { id, stepTemplateId } of steps)
    limits.set(id, await keys.limitsOf(limitsIn(version, stepTemplateId)));
  return limits;
}

function limitsIn(version: TemplateVersion, stepTemplateId: string): CompiledLimits | null {
  return version.steps[version.positions.get(stepTemplateId)!]!.limits;
}

class LimitReading {
  readonly #db: Db;
  readonly #store: Pick<OutputStore, 'text'>;
  readonly #shared: Shared;
  #uses: ReadonlyMap<string, MeasuredUse> | null = null;

  constructor({ db, store }: LimitSources, shared: Shared) {
    this.#db = db;
    this.#store = store;
    this.#shared = shared;
  }

  /** Returns the ids of those that are used up. */
  async fullLimits(): Promise<string[]> {
    const uses = await this.#measured();
    const all = [...this.#shared.values()].flatMap((limits) => limits ?? []);
    return [...new Set(all.filter(({ id, limit }) => usedOf(uses.get(id)) >= limit).map(({ id }) => id))];
  }

  /** @param places by the id of the limit, the steps in line for it */
  async facts(
    holders: ReadonlyMap<string, LimitFacts['holders']> = new Map(),
    places: ReadonlyMap<string, readonly string[]> = new Map(),
  ): Promise<LimitsById> {
    const uses = await this.#measured();
    const factsOf = (stepId: string, { id, key, limit, perMs }: SharedLimit): LimitFacts => {
      const place = places.get(id)?.indexOf(stepId) ?? -1;
      return {
        key: this.#store.text(key, MAX_KEY_LENGTH),
        limit,
        perMs,
        used: usedOf(uses.get(id)),
        freeInMs: uses.get(id)?.freedInMs ?? null,
        holders: holders.get(id) ?? [],
        position: place < 0 ? null : place + 1,
      };
    };
    return new Map(
      [...this.#shared].map(([stepId, limits]) => [
        stepId,
        limits === null ? null : limits.map((limit) => factsOf(stepId, limit)),
      ]),
    );
  }

  async #measured(): Promise<ReadonlyMap<string, MeasuredUse>> {
    if (this.#uses !== null) return this.#uses;
    const byId = new Map(
      [...this.#shared.values()].flatMap((limits) => limits ?? []).map((limit) => [limit.id, limit]),
    );
    this.#uses = byId.size === 0 ? new Map() : await readLimitUses(this.#db, [...byId.values()]);
    return this.#uses;
  }
}

function usedOf(use: MeasuredUse | undefined): number {
  return use === undefined ? 0 : Math.max(use.running, use.started);
}

/** Returns the steps in line for each limit, in the order in which they became ready. Steps whose keys are not known are left out. */
async function placesIn(
  { db, versions, evaluate }: LineSources,
  workspaceId: string | null,
  line: readonly LinedUp[],
): Promise<ReadonlyMap<string, string[]>> {
  const found = new Map<string, TemplateVersion>();
  for (const { templateId } of line)
    if (!found.has(templateId)) found.set(templateId, await versions.get(db, templateId));
  const limitsOf = ({ templateId, stepTemplateId }: LinedUp) =>
    limitsIn(found.get(templateId)!, stepTemplateId);
  const readers = line.filter((step) => readsInput(limitsOf(step)!));
  const ids = [...new Set(readers.map(({ executionId }) => executionId))];
  const inputs = ids.length === 0 ? new Map() : await readManyInputs(db, ids, MAX_INPUT_BYTES);
  const places = new Map<string, string[]>();
  for (const step of line) {
    const keys = new LimitKeys(evaluate, workspaceId, inputs.get(step.executionId) ?? null);
    for (const { id } of (await keys.limitsOf(limitsOf(step))) ?? [])
      places.set(id, [...(places.get(id) ?? []), step.id]);
  }
  return places;
}
