/**
 * Workers that wait for tasks of a queue: told by commits of this process at once, of others within a second.
 *
 * While nobody waits there is no timer and no statement.
 */
import { freesLimit } from '../../core/limits/freed.ts';
import type { Plan } from '../../core/plan.ts';
import type { Db } from '../../db/connection/client.ts';
import { queuesWithTasks } from '../../db/waits/tasks.ts';

const POLL_MS = 1_000;

interface Committed {
  readonly plan: Plan;
  readonly loaded: { readonly version: { readonly hasLimits: boolean } };
}

function helpsWorkers({ plan, loaded }: Committed): boolean {
  return plan.offersTask || (loaded.version.hasLimits && freesLimit(plan));
}

export class TaskWaiters {
  readonly #db: Db;
  readonly #waiting = new Map<string, Set<() => void>>();
  #timer: ReturnType<typeof setInterval> | null = null;

  constructor(db: Db) {
    this.#db = db;
  }

  committed(units: readonly Committed[]): void {
    if (this.#waiting.size > 0 && units.some(helpsWorkers)) this.#wake([...this.#waiting.keys()]);
  }

  /** Resolves when the queue may have a task, after the time, or when the signal is aborted. */
  wait(queue: string, ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(queue) ?? new Set();
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        waiting.delete(done);
        if (waiting.size === 0) this.#waiting.delete(queue);
        if (this.#waiting.size === 0) this.#stop();
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal.addEventListener('abort', done, { once: true });
      this.#waiting.set(queue, waiting.add(done));
      this.#timer ??= setInterval(() => this.#poll(), POLL_MS);
      if (signal.aborted) done();
    });
  }

  #stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  /** A failed look is made again in the next second. */
  #poll(): void {
    queuesWithTasks(this.#db, [...this.#waiting.keys()]).then(
      (queues) => this.#wake([...queues]),
      () => {},
    );
  }

  #wake(queues: readonly string[]): void {
    for (const queue of queues) for (const done of [...(this.#waiting.get(queue) ?? [])]) done();
  }
}
