/**
 * The arguments of the checks of a definition: the parts that they ask, and the data that they check.
 */

import type { ExpressionChecker, StepTypeRegistry } from '../../core/step-type.ts';
import type { SchemaChecker } from '../schema/checker.ts';
import type { ScopeDraft } from '../step-draft.ts';

export interface LintContext {
  readonly stepTypes: StepTypeRegistry;
  readonly expressions: ExpressionChecker;
  readonly schemas: SchemaChecker;
  /** Names of the present secrets; null: not known here. */
  readonly secrets: ReadonlySet<string> | null;
  readonly limits: {
    /** Steps of the whole definition. */
    readonly maxSteps: number;
    /** Scopes inside each other. */
    readonly maxScopeDepth: number;
    /** Levels of arrays and objects of the document. */
    readonly maxDepth: number;
  };
}

/** The definition to check. */
export interface Drafted {
  /** The first one is the top level. */
  readonly scopes: readonly ScopeDraft[];
  /** Of the whole execution; null: none. */
  readonly timeoutMs: number | null;
}
