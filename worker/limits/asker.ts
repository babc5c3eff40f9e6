/**
 * Asks the database for starts of steps with limits: one request at a time, with all steps that gathered meanwhile.
 *
 * Invariant: every asking step is answered once, even when the database could not be asked.
 */
import type { Answer, Asking, StepLimits } from './grants.ts';
import { type LimitedStep, placeOf } from './limited-step.ts';

export interface LimitAskerOptions {
  /** Answers in the order of the steps. */
  answered(steps: readonly LimitedStep[], answers: readonly Answer[]): void;
  onError(error: unknown): void;
}

export class LimitAsker {
  readonly #limits: StepLimits;
  readonly #options: LimitAskerOptions;
  #waiting: LimitedStep[] = [];
  #isAsking = false;

  constructor(limits: StepLimits, options: LimitAskerOptions) {
    this.#limits = limits;
    this.#options = options;
  }

  ask(step: LimitedStep): void {
    this.#waiting.push(step);
    if (this.#isAsking) return;
    this.#isAsking = true;
    queueMicrotask(() => this.#askAll());
  }

  async #askAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const steps = this.#waiting.sort(inOrder);
      this.#waiting = [];
      const answers = await this.#limits.ask(steps.map(toRequest)).catch((error) => {
        this.#options.onError(error);
        return steps.map((): Answer => ({ verdict: 'held', retryAfterMs: null }));
      });
      this.#options.answered(steps, answers);
    }
    this.#isAsking = false;
  }
}

function toRequest({ id, loaded, concurrency, rate }: LimitedStep): Asking {
  return { stepId: id, workspaceId: loaded.facts.workspaceId, concurrency, rate };
}

/** The order of the ready queue: priority, start time, rank. */
function inOrder(a: LimitedStep, b: LimitedStep): number {
  const [one, two] = [placeOf(a, null), placeOf(b, null)];
  if (one.priority !== two.priority) return two.priority - one.priority;
  if (one.executionId !== two.executionId) return one.executionId < two.executionId ? -1 : 1;
  return one.rank - two.rank;
}
