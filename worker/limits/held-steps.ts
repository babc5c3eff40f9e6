/**
 * The steps with limits that are ready in this process, by id and by view.
 */
import type { ViewKey } from '../../core/view.ts';
import type { LimitedStep } from './limited-step.ts';

export class LimitedSteps {
  readonly #steps = new Map<string, LimitedStep>();
  readonly #byView = new Map<string, Set<LimitedStep>>();
  /** Steps made ready by a commit in flight, by view. */
  readonly #fresh = new Map<string, LimitedStep[]>();

  get size(): number {
    return this.#steps.size;
  }

  get(stepId: string): LimitedStep | undefined {
    return this.#steps.get(stepId);
  }

  all(): Iterable<LimitedStep> {
    return this.#steps.values();
  }

  of(key: ViewKey): Iterable<LimitedStep> {
    return this.#byView.get(key) ?? [];
  }

  add(step: LimitedStep): void {
    const { key } = step.loaded.actor;
    this.#steps.set(step.id, step);
    this.#byView.set(key, (this.#byView.get(key) ?? new Set()).add(step));
    const fresh = this.#fresh.get(key);
    if (fresh === undefined) this.#fresh.set(key, [step]);
    else fresh.push(step);
  }

  delete(step: LimitedStep): void {
    this.#steps.delete(step.id);
    const others = this.#byView.get(step.loaded.actor.key);
    others?.delete(step);
    if (others?.size !== 0) return;
    this.#byView.delete(step.loaded.actor.key);
    this.#fresh.delete(step.loaded.actor.key);
  }

  /** Returns the steps added since the last call; each once. */
  takeFresh(key: ViewKey): readonly LimitedStep[] {
    const fresh = this.#fresh.get(key) ?? [];
    this.#fresh.delete(key);
    return fresh;
  }
}
