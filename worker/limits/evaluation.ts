/**
 * Evaluates a step with limits before it may ask for a start: its guard, and its keys. The guard comes first: a
 * skipped step waits for no limit and counts for none.
 */
import { keyText, limitId, type SharedLimit } from '../../core/limits/step-limit.ts';
import type { Db } from '../../db/connection/client.ts';
import { readResumption } from '../../db/step-payload.ts';
import type { CompiledValue } from '../../expression/compiled.ts';
import type { Evaluator } from '../../expression/evaluator.ts';
import { ExpressionError } from '../../expression/expression-error.ts';
import { gatherScope, type ScopeParts } from '../../payload/expression-scope.ts';
import { InputsTooLarge } from '../../payload/payload-reader.ts';
import type { ScopeSource } from '../../payload/scope-source.ts';
import type { LimitedStep } from './limited-step.ts';

interface Key {
  readonly key: CompiledValue;
  readonly limit: number;
  readonly perMs?: number;
}

export class LimitEvaluation {
  readonly #db: Db;
  readonly #evaluator: Evaluator;
  readonly #source: ScopeSource;

  constructor(db: Db, evaluator: Evaluator, source: ScopeSource) {
    this.#db = db;
    this.#evaluator = evaluator;
    this.#source = source;
  }

  /**
   * Fills in the step's admission and limits. A failing guard or key makes an admission that fails the step without
   * an attempt. Throws on transient failures: no database, no sandbox.
   */
  async evaluate(step: LimitedStep): Promise<void> {
    const { loaded, slot } = step;
    const { view } = loaded;
    const compiled = loaded.step(slot);
    const limits = compiled.limits!;
    const { retries, parked } = view.steps[slot]!;
    const received =
      loaded.received.get(slot) ?? (await readResumption(this.#db, step.id, null))?.received ?? [];
    try {
      const scope = await gatherScope(this.#source, loaded, view, slot, received, limits);
      step.admission = (await this.#passes(step, scope, retries === 0 && !parked)) ? 'pass' : 'skip';
      if (step.admission === 'skip') return;
      step.concurrency = await this.#shared(step, limits.concurrency, scope);
      // A parked step resumes its attempt, which is not a start.
      step.rate = parked ? null : await this.#shared(step, limits.rate, scope);
    } catch (error) {
      if (isOfTheMoment(error)) throw error;
      step.concurrency = null;
      step.admission = { error };
    }
  }

  async #passes({ loaded, slot }: LimitedStep, scope: ScopeParts, isFirst: boolean): Promise<boolean> {
    const { when } = loaded.step(slot);
    const { workspaceId: workspace, id: execution } = loaded;
    return (
      when === null || !isFirst || this.#evaluator.evaluateCondition(when, scope, { workspace, execution })
    );
  }

  async #shared({ loaded }: LimitedStep, shared: Key | null, scope: ScopeParts): Promise<SharedLimit | null> {
    if (shared === null) return null;
    const { workspaceId: workspace, id: execution } = loaded;
    const key = keyText(await this.#evaluator.evaluate(shared.key, scope, { workspace, execution }));
    const { limit, perMs = null } = shared;
    return { id: limitId(workspace, key, perMs), key, limit, perMs };
  }
}

function isOfTheMoment(error: unknown): boolean {
  if (error instanceof InputsTooLarge) return false;
  if (!(error instanceof ExpressionError)) return true;
  return error.code === 'sandbox_unavailable' || error.code === 'aborted';
}
