/**
 * The processor time that jobs of each workspace take, as a moving average: workspaces whose code is slow are told from
 * the others.
 *
 * A few quick jobs are enough for a workspace to be quick again.
 */
const SLOW_MS = 10;
/** Share of the latest job in the average. */
const WEIGHT = 1 / 3;
/** Averages below it are not kept. */
const QUICK_MS = 1;
const MAX_KEPT = 10_000;

export class Paces {
  readonly #averages = new Map<string, number>();

  /** Records a job that took so many milliseconds. */
  record(workspace: string, ms: number): void {
    const average = (1 - WEIGHT) * (this.#averages.get(workspace) ?? 0) + WEIGHT * ms;
    this.#averages.delete(workspace);
    if (average >= QUICK_MS) this.#averages.set(workspace, average);
    // The first one has had no job for the longest time.
    const [oldest] = this.#averages.keys();
    if (this.#averages.size > MAX_KEPT) this.#averages.delete(oldest!);
  }

  isSlow(workspace: string): boolean {
    return (this.#averages.get(workspace) ?? 0) >= SLOW_MS;
  }
}
