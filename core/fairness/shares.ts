/**
 * What workspaces hold of a number of places that all of them share, and which of them may take one more.
 *
 * A workspace may hold so many times what is free. So one that wants all of it leaves some free for whoever comes next,
 * and the next one leaves less: nobody is told beforehand how many there will be. As long as there is only one
 * workspace, it may hold all.
 */
export class Shares {
  readonly total: number;
  readonly #factor: number;
  readonly #held = new Map<string, number>();
  #first: string | null = null;
  #hasOthers = false;
  #taken = 0;

  /** @param factor how many times what is free a workspace may hold */
  constructor(total: number, factor: number) {
    this.total = total;
    this.#factor = Math.max(1, factor);
  }

  get taken(): number {
    return this.#taken;
  }

  get free(): number {
    return this.total - this.#taken;
  }

  /** The workspace has something to do. */
  meet(workspace: string): void {
    this.#first ??= workspace;
    this.#hasOthers ||= workspace !== this.#first;
  }

  mayTake(workspace: string): boolean {
    if (this.free <= 0) return false;
    return !this.#hasOthers || (this.#held.get(workspace) ?? 0) < this.#factor * this.free;
  }

  take(workspace: string): void {
    this.#taken += 1;
    this.#held.set(workspace, (this.#held.get(workspace) ?? 0) + 1);
  }

  give(workspace: string): void {
    this.#taken -= 1;
    const left = this.#held.get(workspace)! - 1;
    if (left > 0) this.#held.set(workspace, left);
    else this.#held.delete(workspace);
  }
}
