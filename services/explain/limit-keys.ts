/**
 * The limits of a queued step, as far as their keys are known outside the engine that has the step: a key that is written out
 * or reads the execution's input.
 */
import { keyText, limitId, type SharedLimit } from '../../core/limits/step-limit.ts';
import type { CompiledValue } from '../../expression/compiled.ts';
import type { Evaluator } from '../../expression/evaluator.ts';
import { JsonPayload } from '../../payload/json-payload.ts';
import type { CompiledLimits } from '../../template/version.ts';

interface SharedKey {
  readonly key: CompiledValue;
  readonly limit: number;
  readonly perMs?: number;
}

export type Evaluate = Evaluator['evaluate'];

/** Returns whether a key of the limits reads the execution's input. */
export function readsInput({ concurrency, rate }: CompiledLimits): boolean {
  return [concurrency, rate].some((shared) => shared?.key.roots.has('input') === true);
}

/** Evaluates keys of limits for one execution. */
export class LimitKeys {
  readonly #evaluate: Evaluate;
  readonly #workspaceId: string | null;
  readonly #input: JsonPayload | null;

  /** @param inputs JSON text; null: not read */
  constructor(evaluate: Evaluate, workspaceId: string | null, inputs: string | null) {
    this.#evaluate = evaluate;
    this.#workspaceId = workspaceId;
    this.#input = inputs === null ? null : new JsonPayload(inputs);
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
      found.push({ id: limitId(this.#workspaceId, key, perMs), key, limit, perMs });
    }
    return found;
  }

  async #keyOf(key: CompiledValue): Promise<string | null> {
    if (!key.native || [...key.roots].some((root) => root !== 'input')) return null;
    try {
      if (key.roots.size === 0) return keyText(await this.#evaluate(key, {}));
      if (this.#input === null) return null;
      await this.#input.parse();
      return keyText(await this.#evaluate(key, { input: this.#input.value }));
    } catch {
      return null;
    }
  }
}
