/**
 * Checks of the answers about signals, single steps, forms and tasks.
 */
import type { FormItem } from '../services/forms/inbox-answers.ts';
import type { SignalledBody } from '../services/signal-answers.ts';
import type { AnsweredStepBody, StepBody } from '../services/steps/answers.ts';
import type { TaskBody } from '../services/tasks/task-answers.ts';
import { anything, flag, list, number, object, optional, page, stepMembers, text } from './answer.ts';

export const signalled = object<SignalledBody>({
  execution_id: text,
  status: text,
  duplicate: flag,
  // An older engine does not tell.
  kept: optional(flag),
});

export const oneStep = object<StepBody>({
  ...stepMembers,
  execution_id: text,
  template: text,
  version: number,
  params: anything,
  attempts: anything,
});

export const answered = object<AnsweredStepBody>({ id: text, execution_id: text, key: text, status: text });

export const forms = page(
  object<FormItem>({
    step_id: text,
    execution_id: text,
    template: text,
    key: text,
    scope: text,
    title: text,
    description: optional(text),
    schema: anything,
    assignees: list(text),
    decisions: anything,
    created_at: text,
    due_at: optional(text),
  }),
);

export const claimed = object<{ tasks: TaskBody[] }>({
  tasks: list(
    object<TaskBody>({
      id: text,
      token: text,
      input: anything,
      attempt: number,
      idempotency_key: text,
      lease_seconds: number,
    }),
  ),
});

export const renewed = object<{ id: string; lease_seconds: number }>({ id: text, lease_seconds: number });
