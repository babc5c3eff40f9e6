/**
 * Chooses the ready step that starts next in this process.
 *
 * Between executions: workspaces in turn, then execution priority, then start time (ids are UUIDv7: smaller
 * is earlier). Inside one: breadth-first rank. Entries may be stale: check an entry after taking it.
 */
export interface ReadyEntry<T> {
  readonly workspace: string;
  readonly priority: number;
  readonly executionId: string;
  /** The step's place in its graph's breadth-first order. */
  readonly rank: number;
  readonly item: T;
}

const ALL = () => true;

export class ReadyQueue<T> {
  /** One heap per workspace; the map's order is the turn. */
  readonly #heaps = new Map<string, ReadyEntry<T>[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Workspaces that have an entry. */
  get workspaces(): Iterable<string> {
    return this.#heaps.keys();
  }

  get workspaceCount(): number {
    return this.#heaps.size;
  }

  hasWorkspace(workspace: string): boolean {
    return this.#heaps.has(workspace);
  }

  push(entry: ReadyEntry<T>): void {
    let heap = this.#heaps.get(entry.workspace);
    if (heap === undefined) {
      heap = [];
      this.#heaps.set(entry.workspace, heap);
    }
    heap.push(entry);
    siftUp(heap, heap.length - 1);
    this.#size += 1;
  }

  /**
   * Returns the next entry of a workspace that may take a turn, or undefined. That workspace goes to the end of the
   * turn; skipped ones keep their place.
   */
  pop(mayTake: (workspace: string) => boolean = ALL): ReadyEntry<T> | undefined {
    for (const [workspace, heap] of this.#heaps) if (mayTake(workspace)) return this.#popOf(workspace, heap);
    return undefined;
  }

  clear(): void {
    this.#heaps.clear();
    this.#size = 0;
  }

  #popOf(workspace: string, heap: ReadyEntry<T>[]): ReadyEntry<T> {
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length > 0) {
      heap[0] = last;
      siftDown(heap, 0);
    }
    this.#heaps.delete(workspace);
    if (heap.length > 0) this.#heaps.set(workspace, heap);
    this.#size -= 1;
    return first;
  }
}

function before<T>(a: ReadyEntry<T>, b: ReadyEntry<T>): boolean {
  if (a.priority !== b.priority) return a.priority > b.priority;
  if (a.executionId !== b.executionId) return a.executionId < b.executionId;
  return a.rank < b.rank;
}

function siftUp<T>(heap: ReadyEntry<T>[], from: number): void {
  const entry = heap[from]!;
  let at = from;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!before(entry, heap[parent]!)) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = entry;
}

function siftDown<T>(heap: ReadyEntry<T>[], from: number): void {
  const entry = heap[from]!;
  let at = from;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child += 1;
    if (!before(heap[child]!, entry)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = entry;
}
