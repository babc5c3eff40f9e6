/**
 * A form as its step waits for it.
 */
import type { WaitingFor } from '../../core/event.ts';
import type { Decision, FormRules } from '../../core/forms/decisions.ts';

export interface FormReminder {
  readonly after_ms: number;
  readonly every_ms: number | null;
  readonly url: string | null;
  readonly email: string | null;
}

/** As `steps/form/form.ts` parks with it. */
export interface FormWait extends FormRules {
  readonly kind: 'form';
  readonly title: string;
  readonly description: string | null;
  readonly decisions: readonly Decision[];
  readonly reminder: FormReminder | null;
}

const PLAIN: Omit<FormWait, 'kind'> = {
  title: '',
  description: null,
  assignees: [],
  quorum: null,
  noSelfApproval: false,
  decisions: [],
  reminder: null,
};

/** Returns the form of a wait; null: it is for something else. A custom step type may leave out what it does not need. */
export function formOf(waitingFor: WaitingFor | null): FormWait | null {
  return waitingFor?.kind === 'form' ? ({ ...PLAIN, ...waitingFor } as unknown as FormWait) : null;
}
