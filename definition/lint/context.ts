/**
 * The arguments of the checks of a definition: the parts that they ask, and the data that they check.
 */

import type { Json } from '../../core/json/json.ts';
import type { ExpressionChecker, StepTypeRegistry } from '../../core/step-type.ts';
import type { SchemaChecker } from '../schema/checker.ts';
import type { StepDraft } from '../step-draft.ts';

export interface LintContext {
  readonly stepTypes: StepTypeRegistry;
  readonly expressions: ExpressionChecker;
  readonly schemas: SchemaChecker;
  /** Names of the present secrets; null: not known here. */
  readonly secrets: ReadonlySet<string> | null;
  readonly limits: {
    /** Steps of the whole definition. */
    readonly maxSteps: number;
    /** Levels of arrays and objects of the document. */
    readonly maxDepth: number;
  };
}

/** The definition to check; the positions of the checks are indexes into `drafts`. */
export interface Drafted {
  readonly drafts: readonly StepDraft[];
  readonly output: Json | undefined;
  /** Of the whole execution; null: none. */
  readonly timeoutMs: number | null;
}
