/**
 * Definitions as they are read from their text: what is stored of them, or the problems.
 */
import type { Problem } from '../core/problem.ts';
import type { DefinitionSource } from '../definition/source.ts';

/** What is stored of a definition. Plain data: it may come from another process. */
export interface ReadDefinition {
  readonly name: string;
  readonly description: string | null;
  readonly steps: readonly { readonly key: string; readonly type: string }[];
  /** Equal for definitions that mean the same. */
  readonly hash: string;
  /** The definition as JSON. */
  readonly text: string;
}

export interface Reading {
  /** Null when there are errors. */
  readonly definition: ReadDefinition | null;
  readonly errors: readonly Problem[];
  readonly warnings: readonly Problem[];
}

export interface DefinitionReader {
  /**
   * @param owner whose definition it is; owners take turns
   * @throws EngineError: it cannot be read at all
   */
  read(owner: string, source: DefinitionSource): Promise<Reading>;
}
