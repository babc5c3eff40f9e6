/**
 * Warns of limits that do not mean what they seem to: a step that holds scopes runs only to open them and to put their
 * results together.
 */
import type { ProblemList } from '../problem-list.ts';
import type { StepDraft } from '../step-draft.ts';

const MESSAGE =
  '"concurrency" limits this step itself, which holds no slot while the steps inside it run. How many of these run at a time is said by "with.concurrency" of a foreach, or by a "concurrency" of their own.';

export function warnHolders(drafts: readonly StepDraft[], warnings: ProblemList): void {
  for (const { step, pointer } of drafts)
    if (step.scopes.length > 0 && step.concurrency !== null)
      warnings.add(`${pointer}/concurrency`, 'concurrency_of_holder', MESSAGE);
}
