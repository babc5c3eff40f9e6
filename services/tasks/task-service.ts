/**
 * Tasks for workers outside: claimed, kept alive, and ended by the one who holds the claim.
 *
 * Invariant: a result or a heartbeat counts only with the token of the claim that holds the task. Each claim and each
 * return of a task is a transition of its step, so an answer that was judged before comes late and is judged again.
 */
import { randomUUID } from 'node:crypto';
import { idempotencyKey } from '../../core/control/idempotency-key.ts';
import type { AnswerResult, Event } from '../../core/event.ts';
import { graphAt } from '../../core/graph.ts';
import type { Json } from '../../core/json/json.ts';
import type { SharedLimit } from '../../core/limits/step-limit.ts';
import { EngineError } from '../../core/problem.ts';
import { slotOf, type ViewKey, viewKey } from '../../core/view.ts';
import type { Pool } from '../../db/connection/client.ts';
import { type FreeTask, readFreeTasks, readTaskToken, renewLease } from '../../db/waits/tasks.ts';
import type { OutputStore } from '../../payload/output-store.ts';
import { storedError } from '../../payload/stored-error.ts';
import type { TemplateVersions } from '../../template/versions.ts';
import type { Caller } from '../caller.ts';
import type { FoundStep, StepAnswerer } from '../steps/answerer.ts';
import type { AnsweredStepBody } from '../steps/answers.ts';
import { storable } from '../storable.ts';
import type { ClaimBody, FailTaskBody, TaskBody, TaskServicePort } from './task-answers.ts';
import type { TaskWaiters } from './task-waiters.ts';

export interface TaskServiceOptions {
  readonly pool: Pool;
  readonly door: { deliver(key: ViewKey, event: Event): Promise<string> };
  readonly versions: Pick<TemplateVersions, 'get'>;
  readonly answerer: StepAnswerer;
  readonly store: OutputStore;
  readonly waiters: TaskWaiters;
  readonly limits: TaskLimits;
}

/** Grants slots of limits, for tasks that are to be claimed at once. */
export interface TaskLimits {
  ask(tasks: readonly LimitedTask[]): Promise<readonly { readonly verdict: string }[]>;
}

interface LimitedTask {
  readonly stepId: string;
  readonly workspaceId: string | null;
  readonly concurrency: SharedLimit;
  readonly rate: null;
}

/** Looks after lost races before a worker gets what it has, or waits for news. */
const MAX_LOOKS = 10;

export class TaskService implements TaskServicePort {
  readonly #options: TaskServiceOptions;

  constructor(options: TaskServiceOptions) {
    this.#options = options;
  }

  async claim(
    caller: Caller,
    { queue, worker, max = 1 }: ClaimBody,
    waitMs: number,
    signal: AbortSignal,
  ): Promise<readonly string[]> {
    const until = performance.now() + waitMs;
    for (;;) {
      const tasks = await this.#take(caller, queue, worker, max);
      const leftMs = until - performance.now();
      if (tasks.length > 0 || leftMs <= 0 || signal.aborted)
        return ['{"tasks":[', tasks.map(taskJson).join(','), ']}'];
      await this.#options.waiters.wait(queue, leftMs, signal);
    }
  }

  /** Claims up to `max` tasks. Of those that others claim at the same moment another look finds other ones. */
  async #take(caller: Caller, queue: string, worker: string, max: number): Promise<Claimed[]> {
    const claimed: Claimed[] = [];
    for (let look = 0; look < MAX_LOOKS && claimed.length < max; look += 1) {
      const wanted = max - claimed.length;
      const free = await readFreeTasks(this.#options.pool, queue, caller, wanted * (look + 1));
      if (free.length === 0) break;
      const found = look === 0 ? free : free.toSorted(() => Math.random() - 0.5).slice(0, wanted);
      const chosen = await this.#granted(found);
      const tried = await Promise.all(chosen.map((task) => this.#claimOne(task, queue, worker)));
      claimed.push(...tried.filter((task) => task !== null));
    }
    return claimed;
  }

  /** Returns the tasks without those whose limit has no slot left for them. */
  async #granted(tasks: readonly FreeTask[]): Promise<FreeTask[]> {
    const limited = tasks.flatMap(({ stepId, workspaceId, concurrency }) =>
      concurrency === null ? [] : [{ stepId, workspaceId, concurrency, rate: null }],
    );
    if (limited.length === 0) return [...tasks];
    const answers = await this.#options.limits.ask(limited);
    const held = new Set(limited.filter((_, at) => answers[at]!.verdict !== 'granted').map((t) => t.stepId));
    return tasks.filter(({ stepId }) => !held.has(stepId));
  }

  async #claimOne(task: FreeTask, queue: string, worker: string): Promise<Claimed | null> {
    const { pool, versions, door } = this.#options;
    const version = await versions.get(pool, task.templateId);
    const position = version.positions.get(task.stepTemplateId);
    if (position === undefined) return null;
    const slot = slotOf(graphAt(version.graphs, position), position);
    const { attempt, sequence, leaseMs } = task;
    const token = randomUUID();
    const key = viewKey(task.executionId, task.scopeId);
    const claim = { queue, worker, token, leaseMs, isLimited: task.concurrency !== null };
    const { stepId } = task;
    const event = { type: 'claim_task', slot, stepId, attempt, sequence, task: claim } as const;
    const delivery = await door.deliver(key, event);
    // A commit whose answer was lost is found by its token.
    const isMine = delivery === 'applied' || (await readTaskToken(pool, stepId)) === token;
    return isMine ? { task, token } : null;
  }

  async heartbeat(caller: Caller, stepId: string, token: string) {
    const { pool, answerer } = this.#options;
    const found = await answerer.find(caller, stepId);
    requireTask(found);
    const leaseMs = await renewLease(pool, stepId, token);
    if (leaseMs !== null) return { id: stepId, lease_seconds: leaseMs / 1_000 };
    // It may have ended meanwhile.
    requireTask(await answerer.find(caller, stepId));
    throw stale(stepId);
  }

  async complete(
    caller: Caller,
    stepId: string,
    token: string,
    output: Json | undefined,
  ): Promise<AnsweredStepBody> {
    const payload = await storable(this.#options.store, output, '/output');
    return this.#end(caller, stepId, token, { output: payload });
  }

  async fail(caller: Caller, stepId: string, token: string, body: FailTaskBody): Promise<AnsweredStepBody> {
    const { code, message, details = null } = body.error;
    const error = await storedError(this.#options.store, { code, message, details });
    return this.#end(caller, stepId, token, { error, retryable: body.retryable ?? false });
  }

  async #end(caller: Caller, stepId: string, token: string, result: AnswerResult): Promise<AnsweredStepBody> {
    const { answerer, pool } = this.#options;
    const { stored, version, position } = await answerer.answer(caller, stepId, async (found) => {
      requireTask(found);
      // The token is read after the step: a claim in between makes this answer late.
      if ((await readTaskToken(pool, stepId)) !== token) throw stale(stepId);
      return result;
    });
    const { id, executionId, status } = stored;
    return { id, execution_id: executionId, key: version.steps[position]!.step.key, status };
  }
}

/** @throws EngineError: the step is no task, or is over */
function requireTask({ stored: { id, status, waitingFor }, version, position }: FoundStep): void {
  if (version.steps[position]!.step.type !== 'task')
    throw new EngineError('wrong_state', `Step ${id} is no task.`);
  if (status === 'waiting' && waitingFor?.kind === 'task') return;
  if (status === 'retrying' || status === 'queued' || status === 'running') throw stale(id);
  throw new EngineError('task_over', `Task ${id} is over: it is ${status}. The worker may stop.`);
}

function stale(id: string): EngineError {
  return new EngineError(
    'stale_token',
    `The token does not hold task ${id} any more; another worker may have it.`,
  );
}

interface Claimed {
  readonly task: FreeTask;
  readonly token: string;
}

function taskJson({ task, token }: Claimed): string {
  const head = {
    id: task.stepId,
    token,
    attempt: task.attempt,
    idempotency_key: idempotencyKey(task.stepId, task.keyNumber),
    lease_seconds: task.leaseMs / 1_000,
  } satisfies Omit<TaskBody, 'input'>;
  return `${JSON.stringify(head).slice(0, -1)},"input":${task.input}}`;
}
