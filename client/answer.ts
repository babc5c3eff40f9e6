/**
 * The minimum of an engine's answers: checks that tell them from those of another server.
 *
 * Unknown members pass, since a newer engine may send more. Not here: the types, which are those of the services; a
 * check that misses a member of its type does not compile.
 */

import type { DoctorReport } from '../services/doctor/report.ts';
import type {
  ExecutionListItem,
  ExecutionStatusBody,
  ParentBody,
  ScopeBody,
  StartResult,
  StopResult,
} from '../services/execution-answers.ts';
import type { Page } from '../services/page.ts';
import type {
  ProblemBody,
  PublishResult,
  TemplateBody,
  TemplateSummary,
  ValidateResult,
} from '../services/template-answers.ts';
import type { ProblemAnswer } from './failure.ts';

/** Returns the reason why the answer does not fit, `"data" is missing` for example, or null. */
export interface Check<T> {
  (value: unknown, place: string): string | null;
  readonly type?: T;
}

export const anything: Check<unknown> = () => null;
export const text: Check<string> = (value, place) => demand(typeof value === 'string', value, place, 'text');
export const number: Check<number> = (value, place) =>
  demand(typeof value === 'number', value, place, 'number');
export const flag: Check<boolean> = (value, place) =>
  demand(typeof value === 'boolean', value, place, 'true or false');

/** Null or absent is allowed: an older engine may not send it. */
export function optional<T>(check: Check<T>): Check<T | null | undefined> {
  return (value, place) => (value === null || value === undefined ? null : check(value, place));
}

export function list<T>(check: Check<T>): Check<T[]> {
  return (value, place) => {
    if (!Array.isArray(value)) return demand(false, value, place, 'list');
    for (const [index, item] of value.entries()) {
      const misfit = check(item, `${place}/${index}`);
      if (misfit !== null) return misfit;
    }
    return null;
  };
}

/** Every member of the type has a check. */
export function object<T>(members: { readonly [K in keyof Required<T>]: Check<unknown> }): Check<T> {
  return (value, place) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      return demand(false, value, place, 'object');
    for (const [name, check] of Object.entries<Check<unknown>>(members)) {
      const misfit = check((value as Record<string, unknown>)[name], `${place}/${name}`);
      if (misfit !== null) return misfit;
    }
    return null;
  };
}

function demand(holds: boolean, value: unknown, place: string, wanted: string): string | null {
  if (holds) return null;
  const name = place === '' ? 'it' : `"${place.slice(1)}"`;
  return value === undefined ? `${name} is missing` : `${name} is no ${wanted}`;
}

/** An answer without a body. */
export const nothing: Check<void> = (value, place) =>
  demand(value === undefined, value, place, 'empty answer');

const problem = object<ProblemBody>({ pointer: text, code: text, message: text });

export const refused = object<ProblemAnswer>({
  code: text,
  detail: text,
  errors: optional(list(problem)),
  request_id: optional(text),
});

export const published = object<PublishResult>({
  workflow_template_id: text,
  name: text,
  version: number,
  steps: list(object<PublishResult['steps'][number]>({ id: text, key: text })),
  warnings: list(problem),
});

export const validated = object<ValidateResult>({
  valid: flag,
  errors: list(problem),
  warnings: list(problem),
});

const summary = {
  workflow_template_id: text,
  name: text,
  version: number,
  description: optional(text),
  created_at: text,
};

export const template = object<TemplateBody>({
  ...summary,
  definition: object<Record<never, never>>({}),
  steps: list(object<TemplateBody['steps'][number]>({ id: text, key: text, type: text })),
  archived_at: optional(text),
});

export const templates = page(object<TemplateSummary>(summary));

export const started = object<StartResult>({ execution_id: text, status: text, created: flag });

export const startedMany = object<{ executions: StartResult[] }>({ executions: list(started) });

export const stopped = object<StopResult>({ execution_id: text, status: text, stop_requested: flag });

const executionError = optional(
  object<NonNullable<ExecutionStatusBody['error']>>({ code: text, message: text, step: optional(text) }),
);

export const stepMembers = {
  id: text,
  key: text,
  type: text,
  scope: text,
  depth: number,
  status: text,
  attempt_count: number,
  required_inputs: number,
  received_inputs: list(anything),
  error: optional(
    object<NonNullable<ExecutionStatusBody['steps'][number]['error']>>({
      code: text,
      message: text,
      details: anything,
    }),
  ),
  created_at: text,
  started_at: optional(text),
  completed_at: optional(text),
  resume_at: optional(text),
  waiting_for: optional(object<{ kind: string }>({ kind: text })),
  reused_from: optional(text),
  by_hand: anything,
  scopes: anything,
  compensation: anything,
  children: anything,
  outputs: anything,
};

const step = object<ExecutionStatusBody['steps'][number]>(stepMembers);

const parent = optional(object<ParentBody>({ execution_id: text, step_id: text }));

const scope = object<ScopeBody>({
  scope: text,
  index: number,
  execution_id: optional(text),
  status: text,
  waits: anything,
  error: executionError,
  started_at: text,
  completed_at: optional(text),
});

export const scopes = page(scope);

export const execution = object<ExecutionStatusBody>({
  execution_id: text,
  status: text,
  stop_requested: flag,
  paused_by: optional(text),
  template: text,
  version: number,
  inputs: anything,
  outputs: anything,
  error: executionError,
  progress: object<ExecutionStatusBody['progress']>({
    total: number,
    completed: number,
    failed: number,
    skipped: number,
    cancelled: number,
    running: number,
    waiting: number,
    queued: number,
  }),
  uncertain: anything,
  not_undone: anything,
  steps: list(step),
  parent,
  root_execution_id: optional(text),
  forked_from: optional(text),
  created_at: text,
  started_at: optional(text),
  completed_at: optional(text),
  resumed_at: optional(text),
  resume_at: optional(text),
});

export const executions = page(
  object<ExecutionListItem>({
    execution_id: text,
    status: text,
    template: text,
    version: number,
    workspace_id: optional(text),
    user_id: optional(text),
    tags: list(text),
    error: executionError,
    created_at: text,
    started_at: optional(text),
    completed_at: optional(text),
    parent,
    root_execution_id: optional(text),
    forked_from: optional(text),
  }),
);

const finding = object<DoctorReport['findings'][number]>({
  invariant: text,
  meaning: text,
  advice: text,
  count: number,
  examples: list(
    object<DoctorReport['findings'][number]['examples'][number]>({
      id: text,
      execution_id: optional(text),
      detail: text,
    }),
  ),
});

export const report = object<DoctorReport>({
  ok: flag,
  findings: list(finding),
  repaired: list(object<DoctorReport['repaired'][number]>({ invariant: text, count: number })),
  checked: list(text),
  unanswered: list(object<DoctorReport['unanswered'][number]>({ invariant: text, reason: text })),
});

export function page<T>(item: Check<T>): Check<Page<T>> {
  return object<Page<T>>({ data: list(item), next_cursor: optional(text) });
}
