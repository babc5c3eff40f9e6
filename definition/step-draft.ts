/**
 * A step as it was read from a definition, before the checks that look across steps.
 */
import type { Json } from '../core/json/json.ts';
import type { HeldScope, StepTypeInfo } from '../core/step-type.ts';
import type { EdgeCondition, TemplateStep } from '../core/template.ts';

/** One entry of `needs`, as written. */
export interface Need {
  readonly from: string;
  readonly condition: EdgeCondition;
  readonly pointer: string;
}

export interface Needs {
  readonly entries: readonly Need[];
  /** False when an entry could not be read: their number is then not used. */
  readonly complete: boolean;
}

export interface StepDraft {
  readonly step: TemplateStep;
  /** `/steps/<key>`, or below the `with` of the step that holds it. */
  readonly pointer: string;
  readonly needs: Needs;
  /** Null when the type is missing or unknown. */
  readonly type: StepTypeInfo | null;
  /** The step that undoes it; null: none. */
  readonly compensation: StepDraft | null;
}

/** The steps of one scope. Its checks number them by slot, their index in `drafts`. */
export interface ScopeDraft {
  readonly drafts: readonly StepDraft[];
  /** Null: it has the default output. */
  readonly output: { readonly value: Json; readonly pointer: string } | null;
  /** Null: the top level. */
  readonly held: HeldDraft | null;
}

/** The step that holds a scope. */
export interface HeldDraft {
  readonly scope: HeldScope;
  /** Pointer of the scope's steps, below the holder's `with`. */
  readonly pointer: string;
  /** Index of the scope that has the holder, in the list of all scopes. */
  readonly around: number;
  /** Slot of the holder. */
  readonly holder: number;
}

/** Returns the compensations of the steps that have one. */
export function compensationsOf(drafts: readonly StepDraft[]): StepDraft[] {
  return drafts.flatMap(({ compensation }) => compensation ?? []);
}
