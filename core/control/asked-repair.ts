/**
 * The wishes of a retry for one view, by slot.
 */

/** The result that a step gets by hand. */
export interface HandResult {
  /** As the shell carries it: JSON text. */
  readonly output: { readonly json: string };
  /** Null: its type has none. */
  readonly routes: readonly string[] | null;
}

export interface Repair {
  readonly from: number | null;
  readonly only: number | null;
  readonly outputs: ReadonlyMap<number, HandResult>;
  readonly skip: ReadonlySet<number>;
  /** Scopes that are opened again as they were, by the slot of their holder. */
  readonly reopened: ReadonlyMap<number, HolderRepair>;
  /** `from` or `only` names a step inside one of these scopes. */
  readonly isBelow: boolean;
  /** Child executions that are retried in place, by the slot of the step that waits for them. */
  readonly children: ReadonlyMap<number, string>;
}

export interface HolderRepair {
  readonly scopes: readonly ReopenedScope[];
  /** Indexes of its other scopes that failed or were cancelled. */
  readonly unfinished: readonly number[];
}

export interface ReopenedScope {
  readonly index: number;
  /** How it had ended. */
  readonly status: 'completed' | 'failed' | 'cancelled';
  /** Of its result in the list of all, about; 0: it is in none. */
  readonly bytes: number;
}

/** Resets what failed and what was cancelled. */
export const WHOLE_REPAIR: Repair = {
  from: null,
  only: null,
  outputs: new Map(),
  skip: new Set(),
  reopened: new Map(),
  isBelow: false,
  children: new Map(),
};
