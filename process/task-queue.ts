/**
 * The queue of a task pool: owners take turns, and one owner cannot occupy all processes.
 *
 * Not here: the processes (task-pool.ts).
 */
import { TurnQueue } from '../core/fairness/turn-queue.ts';

export class TaskQueue<T extends { readonly owner: string }> {
  readonly #waiting = new TurnQueue<T>();
  readonly #running = new Map<string, number>();
  readonly #maxRunning: number;

  /** @param processes size of the pool; one owner may have all but one at a time, if there are several */
  constructor(processes: number) {
    this.#maxRunning = Math.max(1, processes - 1);
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** @param first puts the task ahead of other tasks of the same owner */
  add(task: T, first = false): void {
    this.#waiting.push(task.owner, task, first);
  }

  /** Takes the next task that may begin; null: none. */
  take(): T | null {
    const task = this.#waiting.pop((owner) => this.#mayBegin(owner));
    if (task === undefined) return null;
    this.#running.set(task.owner, this.#runningOf(task.owner) + 1);
    return task;
  }

  /** Returns whether `take` would return a task. */
  get hasNext(): boolean {
    return this.#waiting.hasNext((owner) => this.#mayBegin(owner));
  }

  /** Records the end of a task that was taken. */
  ended({ owner }: T): void {
    const left = this.#runningOf(owner) - 1;
    if (left > 0) this.#running.set(owner, left);
    else this.#running.delete(owner);
  }

  clear(): T[] {
    return this.#waiting.clear();
  }

  #mayBegin(owner: string): boolean {
    return this.#runningOf(owner) < this.#maxRunning;
  }

  #runningOf(owner: string): number {
    return this.#running.get(owner) ?? 0;
  }
}
