/**
 * Divides a shared number of places among workspaces, and decides which of them may take one more.
 *
 * A workspace may hold at most a multiple of the free places. So a busy workspace leaves some places free for the
 * next one, which leaves fewer, without knowing how many will come. As long as there is only one workspace, it may
 * hold all.
 */
export class Shares {
  readonly total: number;
  readonly #factor: number;
  readonly #held = new Map<string, number>();
  #first: string | null = null;
  #hasOthers = false;
  #taken = 0;

  /** @param factor multiple of the free places that a workspace may hold */
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

  /** Records that the workspace has work. */
  meet(workspace: string): void {
    this.#first ??= workspace;
    this.#hasOthers ||= workspace !== this.#first;
  }

  /** Returns whether a workspace may take this many more. */
  mayTake(workspace: string, count = 1): boolean {
    if (this.free < count) return false;
    const before = (this.#held.get(workspace) ?? 0) + count - 1;
    return !this.#hasOthers || before < this.#factor * (this.free - count + 1);
  }

  take(workspace: string, count = 1): void {
    this.#taken += count;
    this.#held.set(workspace, (this.#held.get(workspace) ?? 0) + count);
  }

  give(workspace: string, count = 1): void {
    this.#taken -= count;
    const left = (this.#held.get(workspace) ?? 0) - count;
    if (left > 0) this.#held.set(workspace, left);
    else this.#held.delete(workspace);
  }
}
