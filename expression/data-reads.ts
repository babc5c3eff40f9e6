/**
 * The data that compiled expressions read, besides what their own scope gives all of them.
 */
import type { HookRead } from '../core/hooks/hook-urls.ts';
import type { ScopeName } from '../core/template.ts';

/** A step of a scope around an expression's own. */
export interface OuterRead {
  /** 1: the scope that has the holder of the expression's scope. */
  readonly up: number;
  readonly slot: number;
}

/** A name to which a scope gives a value: `item`. */
export interface NameRead {
  readonly name: ScopeName;
  /** 0: the expression's own scope. */
  readonly up: number;
}

/** The data that expressions read. */
export interface DataReads {
  /** Slots of the steps of their own scope whose output, status, error or route they read; null: any upstream step. */
  readonly reads: readonly number[] | null;
  /** The same of the scopes around it; null: any step that is upstream of a holder. */
  readonly outerReads: readonly OuterRead[] | null;
  readonly nameReads: readonly NameRead[];
  readonly usesInput: boolean;
  readonly usesInputs: boolean;
  /** The webhook steps whose URLs they read: all of the scope and those around it, or none. */
  readonly hooks: readonly HookRead[];
}
