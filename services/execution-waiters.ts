/**
 * Long polls: waiters for an execution to become final. Holds promises, never connections.
 */
import type { CommitSubscriber } from '../door/commit-subscriber.ts';
import type { DecidedUnit } from '../door/unit.ts';

export class ExecutionWaiters implements CommitSubscriber {
  readonly #waiting = new Map<string, Set<(isFinal: boolean) => void>>();

  /**
   * Resolves when there is news of the execution's end, when the time is over, or when the signal is aborted. True: a commit
   * of this process has ended it. False: it may be final, or not yet.
   */
  wait(executionId: string, ms: number, signal?: AbortSignal): Promise<boolean> {
    // An aborted signal fires no further event.
    if (signal?.aborted) return Promise.resolve(false);
    return new Promise((resolve) => {
      const set = this.#waiting.get(executionId) ?? new Set();
      this.#waiting.set(executionId, set);
      const giveUp = () => done(false);
      const done = (isFinal: boolean) => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', giveUp);
        set.delete(done);
        if (set.size === 0 && this.#waiting.get(executionId) === set) this.#waiting.delete(executionId);
        resolve(isFinal);
      };
      const timer = setTimeout(giveUp, ms);
      signal?.addEventListener('abort', giveUp);
      set.add(done);
    });
  }

  committed(units: readonly DecidedUnit[]): void {
    for (const { plan, actor } of units)
      if (plan.end !== null && plan.view.scope === null) this.#wake(actor.key, true);
  }

  /** Tells all waiters of an execution that it may be final. */
  wake(executionId: string): void {
    this.#wake(executionId, false);
  }

  #wake(executionId: string, isFinal: boolean): void {
    for (const done of this.#waiting.get(executionId) ?? []) done(isFinal);
  }

  /** Executions with waiters: another process may have ended them. */
  get ids(): string[] {
    return [...this.#waiting.keys()];
  }
}
