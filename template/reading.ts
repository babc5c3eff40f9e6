/**
 * The result of reading a definition from its text: the form to store, or the problems.
 */
import type { Problem } from '../core/problem.ts';
import type { DefinitionSource } from '../definition/source.ts';
import type { CalledTemplate } from './called-templates.ts';

/** The stored form of a definition. Plain data: it may come from another process. */
export interface ReadDefinition {
  readonly name: string;
  readonly description: string | null;
  /** All steps, by position. */
  readonly steps: readonly StepToStore[];
  /** Equal for equivalent definitions. */
  readonly hash: string;
  /** The definition as JSON. */
  readonly text: string;
  /** The templates that it starts by their names. */
  readonly calls: readonly CalledTemplate[];
}

export interface StepToStore {
  /** The path. */
  readonly key: string;
  readonly type: string;
  /** The keys that lead to it in the definition's `steps`. */
  readonly place: readonly string[];
}

export interface Reading {
  /** Null when there are errors. */
  readonly definition: ReadDefinition | null;
  readonly errors: readonly Problem[];
  readonly warnings: readonly Problem[];
}

export interface DefinitionReader {
  /**
   * @param owner owner of the definition; owners take turns
   * @throws EngineError: the document cannot be read at all
   */
  read(owner: string, source: DefinitionSource): Promise<Reading>;
}
