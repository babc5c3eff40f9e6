/**
 * Items in line, by owner: owners take turns, and the items of one owner keep their order.
 */
const ALL = () => true;

export class TurnQueue<T> {
  /** One line per owner; the map's order is the turn. */
  readonly #lines = new Map<string, T[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** @param first puts the item ahead of the others of its owner */
  push(owner: string, item: T, first = false): void {
    const line = this.#lines.get(owner) ?? [];
    this.#lines.set(owner, line);
    if (first) line.unshift(item);
    else line.push(item);
    this.#size += 1;
  }

  /**
   * Returns the next item of an owner that may take a turn, or undefined. That owner goes to the end of the turn; skipped
   * ones keep their place.
   */
  pop(mayTake: (owner: string) => boolean = ALL): T | undefined {
    for (const [owner, line] of this.#lines) {
      if (!mayTake(owner)) continue;
      const item = line.shift()!;
      this.#lines.delete(owner);
      if (line.length > 0) this.#lines.set(owner, line);
      this.#size -= 1;
      return item;
    }
    return undefined;
  }

  /** Returns whether `pop` would return an item. */
  hasNext(mayTake: (owner: string) => boolean = ALL): boolean {
    for (const owner of this.#lines.keys()) if (mayTake(owner)) return true;
    return false;
  }

  /** Removes the items that are not kept. */
  keep(isKept: (item: T) => boolean): void {
    for (const [owner, line] of this.#lines) {
      const kept = line.filter(isKept);
      this.#size -= line.length - kept.length;
      if (kept.length > 0) this.#lines.set(owner, kept);
      else this.#lines.delete(owner);
    }
  }

  /** Removes all items, and returns them. */
  clear(): T[] {
    const all = [...this.#lines.values()].flat();
    this.#lines.clear();
    this.#size = 0;
    return all;
  }
}

/** Workspaces take turns, and so do the executions of each workspace. */
export class WorkspaceTurns<T> {
  readonly #workspaces = new Map<string, TurnQueue<T>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** @param first puts the item ahead of the others of its execution */
  push(workspace: string, execution: string, item: T, first = false): void {
    const turns = this.#workspaces.get(workspace) ?? new TurnQueue<T>();
    this.#workspaces.set(workspace, turns);
    turns.push(execution, item, first);
    this.#size += 1;
  }

  /** Returns the next item of a workspace that may take a turn, or undefined. */
  pop(mayTake: (workspace: string) => boolean = ALL): T | undefined {
    for (const [workspace, turns] of this.#workspaces) {
      if (!mayTake(workspace)) continue;
      const item = turns.pop()!;
      this.#workspaces.delete(workspace);
      if (turns.size > 0) this.#workspaces.set(workspace, turns);
      this.#size -= 1;
      return item;
    }
    return undefined;
  }

  /** Removes all items, and returns them. */
  clear(): T[] {
    const all = [...this.#workspaces.values()].flatMap((turns) => turns.clear());
    this.#workspaces.clear();
    this.#size = 0;
    return all;
  }
}
