/**
 * Warns of fields that do not mean what they seem to on a step that holds scopes or a child, which runs only to open them and to
 * put their results together.
 */
import type { TemplateStep } from '../../core/template.ts';
import type { ProblemList } from '../problem-list.ts';
import type { StepDraft } from '../step-draft.ts';

const CONCURRENCY =
  '"concurrency" limits this step itself, which holds no slot while the steps inside it run. How many of these run at a time is said by "with.concurrency" of a foreach, or by a "concurrency" of their own.';

const OF_CHILD =
  '"concurrency" limits this step itself, which holds no slot while its child runs. How many children run at a time is said by "with.concurrency" of a foreach that names the workflow, or by a "concurrency" on the steps of the child.';

const RETRY =
  'A retry runs the scopes that failed or were cancelled anew, and forgets the steps that completed in them: nothing undoes these. Retry the steps inside instead.';

export function warnHolders(drafts: readonly StepDraft[], warnings: ProblemList): void {
  for (const { step, pointer, type } of drafts) {
    const message = type?.waitsFor === 'child' ? OF_CHILD : step.scopes.length > 0 ? CONCURRENCY : null;
    if (message !== null && step.concurrency !== null)
      warnings.add(`${pointer}/concurrency`, 'concurrency_of_holder', message);
    if (step.retry.limit > 0 && holdsCompensations(step))
      warnings.add(`${pointer}/retry`, 'retry_forgets', RETRY);
  }
}

/** Recurses as deep as scopes are nested. */
function holdsCompensations({ scopes }: TemplateStep): boolean {
  return scopes.some(({ steps }) =>
    steps.some((inner) => inner.compensation !== null || holdsCompensations(inner)),
  );
}
