/**
 * Executions: start, status, stop, cancel, list. All writes go through the door.
 */

import type { Event } from '../core/event.ts';
import type { HookUrls } from '../core/hooks/hook-urls.ts';
import { EngineError } from '../core/problem.ts';
import { isFinalExecution } from '../core/status.ts';
import { readChildren } from '../db/children/tree.ts';
import type { Pool } from '../db/connection/client.ts';
import {
  type ExecutionState,
  readExecution,
  readStates,
  readSteps,
  readTrackedInputs,
  sumOutputBytes,
} from '../db/execution-queries.ts';
import { readHeldScopes } from '../db/scopes/held-scopes.ts';
import type { ExecutionDoor } from '../door/execution-door.ts';
import type { OutputStore } from '../payload/output-store.ts';
import type { PayloadLimits } from '../payload/payload-reader.ts';
import { inSlices } from '../process/in-slices.ts';
import type { TemplateVersions } from '../template/versions.ts';
import { type Caller, seesHooks } from './caller.ts';
import type {
  ExecutionFilter,
  ExecutionListItem,
  ExecutionServicePort,
  ScopeBody,
  ScopeQuery,
  StartItem,
  StartResult,
  StatusAnswer,
  StatusOptions,
  StopResult,
} from './execution-answers.ts';
import { callingSteps, type HookUrlOf, statusJson } from './execution-status.ts';
import type { ExecutionWaiters } from './execution-waiters.ts';
import { pageOfExecutions } from './executions/execution-list.ts';
import type { Page } from './page.ts';
import { pageOfScopes } from './scope-list.ts';
import { readQueueWaits } from './steps/queue-waits.ts';
import { readOpenInside } from './steps/undo-status.ts';
import { noScope, visible } from './visible.ts';

/** Starts executions (execution-starter.ts). */
interface Starter {
  /** @param many whether the items came as a list, so that problems name their place in it */
  start(caller: Caller, items: readonly StartItem[], many: boolean): Promise<StartResult[]>;
}

export interface ExecutionServiceOptions {
  readonly pool: Pool;
  readonly door: ExecutionDoor;
  readonly starter: Starter;
  readonly versions: TemplateVersions;
  readonly waiters: ExecutionWaiters;
  readonly limits: PayloadLimits;
  readonly hookUrls: HookUrls;
  /** Masks what is shown of keys. */
  readonly store: Pick<OutputStore, 'text'>;
}

export class WorkflowExecutionService implements ExecutionServicePort {
  readonly #options: ExecutionServiceOptions;

  constructor(options: ExecutionServiceOptions) {
    this.#options = options;
  }

  async start(caller: Caller, item: StartItem): Promise<StartResult> {
    const [result] = await this.#options.starter.start(caller, [item], false);
    return result!;
  }

  startMany(caller: Caller, items: StartItem[]): Promise<StartResult[]> {
    return this.#options.starter.start(caller, items, true);
  }

  async status(caller: Caller, executionId: string, options: StatusOptions): Promise<StatusAnswer> {
    if (options.waitMs > 0) await this.#waitUntilFinal(caller, executionId, options.waitMs, options.signal);
    const { pool, store, versions } = this.#options;
    const execution = visible(caller, 'execution', executionId, await readExecution(pool, executionId));
    const version = await versions.get(pool, execution.templateId);
    const { scope = '', includeOutputs: withOutputs } = options;
    const most = Math.max(...version.graphs.map(({ size }) => size));
    if (withOutputs) await this.#refuseTooLarge(executionId, scope, most);
    const [steps, inputs] = await Promise.all([
      readSteps(pool, executionId, scope, withOutputs),
      readTrackedInputs(pool, executionId, scope),
    ]);
    if (scope !== '' && steps.length === 0) throw noScope(executionId, scope);
    const top = scope === '' ? steps : await readSteps(pool, executionId, '', false);
    const held = await readHeldScopes(pool, version.graphs.length === 1 ? [] : steps.map(({ id }) => id));
    const children = await readChildren(pool, callingSteps(version, steps));
    const queueWaits = await readQueueWaits(pool, store, { version, execution, steps });
    const openInside = await readOpenInside(pool, execution, version);
    const rows = { execution, top, steps, inputs, held, children, queueWaits, openInside };
    const parts = { withOutputs, hookUrl: this.#hookUrlFor(caller) };
    return { status: execution.status, json: await inSlices(statusJson(version, rows, parts)) };
  }

  #hookUrlFor(caller: Caller): HookUrlOf {
    if (!seesHooks(caller)) return () => null;
    return (executionId, scope, position) => this.#options.hookUrls.of({ executionId, scope, position });
  }

  /** Answers are built in memory, and many may be requested at a time. @throws EngineError('outputs_too_large') */
  async #refuseTooLarge(executionId: string, scope: string, steps: number): Promise<void> {
    const { pool, limits } = this.#options;
    const { maxOutputBytes, maxInputsBytes } = limits;
    if (steps * maxOutputBytes <= maxInputsBytes) return;
    const bytes = await sumOutputBytes(pool, executionId, scope);
    if (bytes <= maxInputsBytes) return;
    throw new EngineError(
      'outputs_too_large',
      `The outputs of execution ${executionId} have ${bytes} bytes; EXECUTION_ENGINE_MAX_INPUTS_BYTES allows ${maxInputsBytes} in one answer. Ask without include=outputs.`,
    );
  }

  /**
   * Listens before it reads, so that an end between the two is noticed. A caller with nothing to wait for removes
   * only its own waiter: a caller who may not see the execution must not end the waits of others.
   */
  async #waitUntilFinal(
    caller: Caller,
    executionId: string,
    waitMs: number,
    signal?: AbortSignal,
  ): Promise<void> {
    const until = performance.now() + waitMs;
    for (let leftMs = waitMs; leftMs > 0 && !signal?.aborted; leftMs = until - performance.now()) {
      if (await this.#waitForNews(caller, executionId, leftMs, signal)) return;
    }
  }

  /** Returns whether the execution is final. News of it may also be that it is being stopped. */
  async #waitForNews(
    caller: Caller,
    executionId: string,
    waitMs: number,
    signal?: AbortSignal,
  ): Promise<boolean> {
    const needless = new AbortController();
    const left = signal === undefined ? needless.signal : AbortSignal.any([signal, needless.signal]);
    const over = this.#options.waiters.wait(executionId, waitMs, left);
    try {
      const { status } = await this.#state(caller, executionId);
      if (isFinalExecution(status)) return true;
      return await over;
    } finally {
      needless.abort();
    }
  }

  stop(caller: Caller, executionId: string, reason: string | null): Promise<StopResult> {
    const act = { act: 'stop', by: caller.name ?? null } as const;
    return this.#end(caller, executionId, { type: 'stop', reason, act });
  }

  cancel(caller: Caller, executionId: string, reason: string | null): Promise<StopResult> {
    const act = { act: 'cancel', by: caller.name ?? null } as const;
    return this.#end(caller, executionId, { type: 'cancel', reason, act });
  }

  async #end(caller: Caller, executionId: string, event: Event): Promise<StopResult> {
    const before = await this.#state(caller, executionId);
    if (!isFinalExecution(before.status)) await this.#options.door.deliver(executionId, event);
    const { status, stopRequested } = await this.#state(caller, executionId);
    return { execution_id: executionId, status, stop_requested: stopRequested };
  }

  list(caller: Caller, filter: ExecutionFilter): Promise<Page<ExecutionListItem>> {
    return pageOfExecutions(this.#options.pool, caller, filter);
  }

  async scopes(caller: Caller, query: ScopeQuery): Promise<Page<ScopeBody>> {
    const { pool, versions } = this.#options;
    const { execution_id: id, step } = query;
    const execution = visible(caller, 'execution', id, await readExecution(pool, id));
    const version = await versions.get(pool, execution.templateId);
    const hookUrl = this.#hookUrlFor(caller);
    return pageOfScopes(pool, query, { execution, version, hookUrl, missing: () => noScope(id, step) });
  }

  async #state(caller: Caller, executionId: string): Promise<ExecutionState> {
    const [state] = await readStates(this.#options.pool, [executionId]);
    return visible(caller, 'execution', executionId, state ?? null);
  }
}
