/**
 * The queue of a task pool: owners take turns, and one owner cannot occupy all processes.
 *
 * Not here: the processes (task-pool.ts).
 */

export class TaskQueue<T extends { readonly owner: string }> {
  /** Waiting tasks by owner; the owner whose turn is next comes first. */
  readonly #waiting = new Map<string, T[]>();
  readonly #running = new Map<string, number>();
  readonly #maxRunning: number;
  #size = 0;

  /** @param processes size of the pool; one owner may have all but one at a time, if there are several */
  constructor(processes: number) {
    this.#maxRunning = Math.max(1, processes - 1);
  }

  get size(): number {
    return this.#size;
  }

  /** @param first puts the task ahead of other tasks of the same owner */
  add(task: T, first = false): void {
    const line = this.#waiting.get(task.owner) ?? [];
    if (first) line.unshift(task);
    else line.push(task);
    this.#waiting.set(task.owner, line);
    this.#size += 1;
  }

  /** Takes the next task that may begin; null: none. */
  take(): T | null {
    for (const [owner, line] of this.#waiting) {
      const running = this.#running.get(owner) ?? 0;
      if (running >= this.#maxRunning) continue;
      const task = line.shift()!;
      this.#size -= 1;
      this.#running.set(owner, running + 1);
      this.#waiting.delete(owner);
      if (line.length > 0) this.#waiting.set(owner, line);
      return task;
    }
    return null;
  }

  /** Returns whether `take` would return a task. */
  get hasNext(): boolean {
    for (const owner of this.#waiting.keys()) {
      if ((this.#running.get(owner) ?? 0) < this.#maxRunning) return true;
    }
    return false;
  }

  /** Records the end of a task that was taken. */
  ended({ owner }: T): void {
    const left = (this.#running.get(owner) ?? 1) - 1;
    if (left > 0) this.#running.set(owner, left);
    else this.#running.delete(owner);
  }

  clear(): T[] {
    const all = [...this.#waiting.values()].flat();
    this.#waiting.clear();
    this.#size = 0;
    return all;
  }
}
