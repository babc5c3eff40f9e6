/**
 * The steps with limits that are ready in this process, by id and by execution.
 */
import type { LimitedStep } from './limited-step.ts';

export class LimitedSteps {
  readonly #steps = new Map<string, LimitedStep>();
  readonly #byExecution = new Map<string, Set<LimitedStep>>();
  /** Steps made ready by a commit in flight, by execution. */
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

  of(executionId: string): Iterable<LimitedStep> {
    return this.#byExecution.get(executionId) ?? [];
  }

  add(step: LimitedStep): void {
    const { id } = step.loaded;
    this.#steps.set(step.id, step);
    this.#byExecution.set(id, (this.#byExecution.get(id) ?? new Set()).add(step));
    const fresh = this.#fresh.get(id);
    if (fresh === undefined) this.#fresh.set(id, [step]);
    else fresh.push(step);
  }

  delete(step: LimitedStep): void {
    this.#steps.delete(step.id);
    const others = this.#byExecution.get(step.loaded.id);
    others?.delete(step);
    if (others?.size !== 0) return;
    this.#byExecution.delete(step.loaded.id);
    this.#fresh.delete(step.loaded.id);
  }

  /** Returns the steps added since the last call; each once. */
  takeFresh(executionId: string): readonly LimitedStep[] {
    const fresh = this.#fresh.get(executionId) ?? [];
    this.#fresh.delete(executionId);
    return fresh;
  }
}
