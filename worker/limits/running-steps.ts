/**
 * Running steps of this process by their limits, as far as it is told of their ends.
 */
export class RunningSteps {
  readonly #limitsOf = new Map<string, readonly string[]>();
  readonly #counts = new Map<string, number>();

  count(limitId: string): number {
    return this.#counts.get(limitId) ?? 0;
  }

  begun(stepId: string, limitIds: readonly string[]): void {
    this.ended(stepId);
    this.#limitsOf.set(stepId, limitIds);
    for (const id of limitIds) this.#counts.set(id, this.count(id) + 1);
  }

  /** Returns the limits of the step; null: it is not known here. */
  ended(stepId: string): readonly string[] | null {
    const limitIds = this.#limitsOf.get(stepId);
    if (limitIds === undefined) return null;
    this.#limitsOf.delete(stepId);
    for (const id of limitIds) {
      const left = this.count(id) - 1;
      if (left > 0) this.#counts.set(id, left);
      else this.#counts.delete(id);
    }
    return limitIds;
  }

  /** Drops those that do not run any more: ends that other engines commit are not reported here. */
  keep(runs: (stepId: string) => boolean): void {
    for (const stepId of [...this.#limitsOf.keys()]) if (!runs(stepId)) this.ended(stepId);
  }
}
