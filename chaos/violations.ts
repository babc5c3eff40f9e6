/**
 * The violations that a run found: how often, with a few examples of each.
 */
export interface Violation {
  readonly check: string;
  readonly count: number;
  readonly examples: readonly Example[];
}

export interface Example {
  readonly executionId: string | null;
  readonly detail: string;
}

const MAX_EXAMPLES = 5;

export class Violations {
  readonly #found = new Map<string, { count: number; examples: Example[] }>();

  add(check: string, executionId: string | null, detail: string): void {
    const known = this.#found.get(check) ?? { count: 0, examples: [] };
    known.count += 1;
    if (known.examples.length < MAX_EXAMPLES) known.examples.push({ executionId, detail });
    this.#found.set(check, known);
  }

  get list(): Violation[] {
    return [...this.#found].map(([check, { count, examples }]) => ({ check, count, examples }));
  }

  /** Of the examples, each once. */
  get executionIds(): string[] {
    const ids = this.list.flatMap(({ examples }) => examples.map(({ executionId }) => executionId));
    return [...new Set(ids)].filter((id) => id !== null);
  }
}
