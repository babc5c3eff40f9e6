/**
 * The minimum of the answers that explain an execution, and of those about the load.
 */
import type { ExplainBody, ExplainedStepBody } from '../services/explain/answers.ts';
import type { QueueBody, QueuesBody, WorkerBody } from '../services/load/load-answers.ts';
import { anything, list, number, object, optional, page, text } from './answer.ts';

export const explained = object<ExplainBody>({
  execution_id: text,
  status: text,
  summary: text,
  steps: list(
    object<ExplainedStepBody>({
      id: optional(text),
      key: text,
      scope: text,
      status: text,
      reason: text,
      since: optional(text),
      waiting_for: optional(object<{ kind: string }>({ kind: text })),
      missing: list(anything),
      missing_count: number,
    }),
  ),
  history: optional(list(anything)),
  next_cursor: optional(text),
});

export const queues = object<QueuesBody>({
  data: list(object<QueueBody>({ queue: text, depth: number, oldest_age_seconds: number })),
  step_types: list(anything),
  workspaces: list(anything),
  task_queues: list(anything),
  next_cursor: optional(text),
});

export const workers = page(
  object<WorkerBody>({
    id: text,
    status: text,
    role: text,
    host: text,
    pid: number,
    version: text,
    capacity: number,
    used: number,
    step_types: optional(list(text)),
    started_at: text,
    heartbeat_at: text,
    dead_at: optional(text),
  }),
);
