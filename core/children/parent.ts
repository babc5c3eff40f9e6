/**
 * The step that waits for the end of a child execution.
 */
import type { ViewKey } from '../view.ts';

export interface ParentRef {
  /** The view that the step is in. */
  readonly view: ViewKey;
  readonly stepId: string;
  /** The attempt that started the child. */
  readonly attempt: number;
  /** Its execution is compensating, and undoes nothing before this child and all others are final. */
  readonly isCompensating: boolean;
}
