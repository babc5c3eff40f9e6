/**
 * Keeps requests to hooks until their steps use them, and waits a moment for that.
 *
 * A URL is known from the start of its scope on: a request may come long before its step waits. It is kept like a signal,
 * under an id that its execution takes once; whoever brings signals and waiting steps together gives it to the step.
 *
 * Invariant: a request that was answered with success is used, or kept for a step that is not over.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { hookSignalId, hookSignalName, type KeptRequest } from '../../core/hooks/kept-request.ts';
import type { HookAddress } from '../../core/hooks/token.ts';
import { EngineError } from '../../core/problem.ts';
import type { Pool } from '../../db/connection/client.ts';
import { newId } from '../../db/uuid.ts';
import { readRequestFate, takeBackRequest } from '../../db/waits/kept-request.ts';
import { sendSignal } from '../../db/waits/sent-signals.ts';
import type { OutputStore } from '../../payload/output-store.ts';
import type { HookResponse } from '../../steps/webhook/webhook.ts';
import { storableRequest } from './hook-request.ts';

/** A URL with its step. */
export interface Hook {
  readonly token: string;
  readonly address: HookAddress;
  readonly stepTemplateId: string;
  readonly key: string;
  /** Of a request that comes before the step waits. */
  readonly earlyResponse: HookResponse;
}

export interface KeptRequestsOptions {
  readonly pool: Pool;
  readonly store: OutputStore;
  /** Returns the answer of a step that waits; null: it does not wait. @throws EngineError when it is over */
  responseNow(hook: Hook): Promise<HookResponse | null>;
}

/** How long a request is held that comes before its step waits: its answer may be one that is not known yet. */
const EARLY_MS = 2_000;
/** How long a waiting step may take to use it. */
const HOLD_MS = 20_000;
const LOOK_MS = 20;
const SLOW_LOOK_MS = 100;
const QUICK_LOOKS = 10;
const MAX_HELD = 200;

export class KeptRequests {
  readonly #options: KeptRequestsOptions;
  #held = 0;

  constructor(options: KeptRequestsOptions) {
    this.#options = options;
  }

  /** Keeps a request, and returns the answer to it. @throws EngineError when it uses nothing */
  async give(hook: Hook, request: KeptRequest['request'], signal?: AbortSignal): Promise<HookResponse> {
    const payload = await storableRequest(this.#options.store, {
      id: newId(),
      request,
    } satisfies KeptRequest);
    const waiting = await this.#options.responseNow(hook);
    const signalId = await this.#keep(hook, payload.json);
    if (this.#held >= MAX_HELD) return waiting ?? hook.earlyResponse;
    this.#held += 1;
    try {
      return await this.#settled(hook, signalId, waiting, signal);
    } finally {
      this.#held -= 1;
    }
  }

  /** Returns the id under which a request is kept. @throws EngineError */
  async #keep({ token, address, key }: Hook, payload: string): Promise<string> {
    const { pool } = this.#options;
    const { executionId, scope } = address;
    const signalId = hookSignalId(token);
    const signal = { executionId, name: hookSignalName(executionId, key), payload, signalId, scope };
    try {
      await sendSignal(pool, signal);
    } catch (error) {
      const isTaken = error instanceof EngineError && error.code === 'idempotency_conflict';
      const fate = isTaken ? await readRequestFate(pool, executionId, signalId) : null;
      // One that the step has refused has used nothing.
      if (fate?.refusal == null) throw refusalOf(error);
      await takeBackRequest(pool, executionId, signalId, 'refused');
      await sendSignal(pool, signal).catch((again) => {
        throw refusalOf(again);
      });
    }
    return signalId;
  }

  /** Returns the answer once the step has used the request, or after a while: it stays kept. */
  async #settled(
    hook: Hook,
    signalId: string,
    waiting: HookResponse | null,
    signal: AbortSignal | undefined,
  ): Promise<HookResponse> {
    const { pool } = this.#options;
    const { executionId } = hook.address;
    const begunAt = performance.now();
    let response = waiting;
    for (let looks = 0; ; looks += 1) {
      const fate = await readRequestFate(pool, executionId, signalId);
      if (fate === null)
        throw new EngineError('wrong_state', 'The step of this URL takes no request any more.');
      if (fate.isUsed) return response ?? hook.earlyResponse;
      if (fate.refusal !== null) {
        await takeBackRequest(pool, executionId, signalId, 'refused');
        throw new EngineError('method_not_allowed', fate.refusal);
      }
      response = (await this.#waitsWith(hook, signalId)) ?? response;
      const mostMs = response === null ? EARLY_MS : HOLD_MS;
      if (signal?.aborted || performance.now() - begunAt > mostMs) return response ?? hook.earlyResponse;
      const options = signal === undefined ? {} : { signal };
      await delay(looks < QUICK_LOOKS ? LOOK_MS : SLOW_LOOK_MS, undefined, options).catch(() => {});
    }
  }

  /** A step that is over without the request will never use it. @throws EngineError */
  async #waitsWith(hook: Hook, signalId: string): Promise<HookResponse | null> {
    try {
      return await this.#options.responseNow(hook);
    } catch (error) {
      if (!(error instanceof EngineError) || error.code === 'unavailable') throw error;
      const { executionId } = hook.address;
      if (await takeBackRequest(this.#options.pool, executionId, signalId, 'unused')) throw error;
      return null;
    }
  }
}

/** Returns the refusal of a signal as the sender of a request is told it. */
function refusalOf(error: unknown): unknown {
  if (!(error instanceof EngineError)) return error;
  if (error.code === 'idempotency_conflict')
    return new EngineError('already_used', 'This URL takes one request, and had it.');
  if (error.code === 'not_storable') return new EngineError('body_too_large', error.message);
  if (error.code === 'too_many_signals')
    return new EngineError(
      'not_waiting',
      'The step of this URL does not wait yet; nothing was used, try again.',
    );
  return error;
}
