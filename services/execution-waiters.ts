/**
 * Long polls: waiters for an execution to become final. Holds promises, never connections.
 */
import type { CommitSubscriber } from '../door/commit-subscriber.ts';
import type { DecidedUnit } from '../door/unit.ts';

export class ExecutionWaiters implements CommitSubscriber {
  readonly #waiting = new Map<string, Set<() => void>>();

  /** Resolves when the execution is reported final, when the time is over, or when the signal is aborted. */
  wait(executionId: string, ms: number, signal?: AbortSignal): Promise<void> {
    // An aborted signal fires no further event.
    if (signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const set = this.#waiting.get(executionId) ?? new Set();
      this.#waiting.set(executionId, set);
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        set.delete(done);
        if (set.size === 0 && this.#waiting.get(executionId) === set) this.#waiting.delete(executionId);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal?.addEventListener('abort', done);
      set.add(done);
    });
  }

  committed(units: readonly DecidedUnit[]): void {
    for (const { plan, actor } of units)
      if (plan.end !== null && plan.view.scope === null) this.wake(actor.key);
  }

  /** Wakes all waiters of this execution. */
  wake(executionId: string): void {
    for (const done of this.#waiting.get(executionId) ?? []) done();
  }

  /** Executions with waiters: another process may have ended them. */
  get ids(): string[] {
    return [...this.#waiting.keys()];
  }
}
