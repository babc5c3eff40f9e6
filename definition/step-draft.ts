/**
 * A step as it was read from a definition, before the checks that look across steps.
 */
import type { StepTypeInfo } from '../core/step-type.ts';
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
  /** `/steps/<key>` */
  readonly pointer: string;
  readonly needs: Needs;
  /** Null when the type is missing or unknown. */
  readonly type: StepTypeInfo | null;
}
