/**
 * Requests to the URLs of webhook steps: each URL takes one.
 *
 * A request may come before its step waits: whoever was given the URL by an earlier step answers at once. Such a request
 * is held for a while, until the step waits.
 *
 * Invariant: a request that is refused uses nothing.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { HookUrls } from '../../core/hooks/hook-urls.ts';
import type { HookAddress } from '../../core/hooks/token.ts';
import { EngineError } from '../../core/problem.ts';
import { isFinalStep } from '../../core/status.ts';
import type { Pool } from '../../db/connection/client.ts';
import { readStepId, readTemplateOf } from '../../db/waits/hooked-step.ts';
import type { JsonPayload } from '../../payload/json-payload.ts';
import { NotStorable, type OutputStore } from '../../payload/output-store.ts';
import type { HookResponse } from '../../steps/webhook/webhook.ts';
import type { TemplateVersions } from '../../template/versions.ts';
import type { Caller } from '../caller.ts';
import type { FoundStep, StepAnswerer } from '../steps/answerer.ts';
import { type HookRequest, outputOf } from './hook-request.ts';
import { checkSignature } from './hook-signature.ts';

export interface HookServiceOptions {
  readonly pool: Pool;
  readonly urls: HookUrls;
  readonly versions: Pick<TemplateVersions, 'get'>;
  readonly answerer: StepAnswerer;
  readonly store: OutputStore;
  readonly secrets: Readonly<Record<string, string>>;
}

/** A step that waits for a request. */
export interface OpenHook {
  readonly methods: readonly string[];
  /** Uses the hook, and returns the answer to the request. */
  use(request: HookRequest): Promise<HookResponse>;
}

export interface HookPort {
  /** @param signal gives up a request that is held @throws EngineError */
  open(token: string, signal: AbortSignal | undefined): Promise<OpenHook>;
}

/** The token is the right to use the hook. */
const ANYBODY: Caller = { workspaceId: null, admin: true };
const HOLD_MS = 20_000;
const LOOK_MS = 100;
const MAX_HELD = 100;

export class HookService implements HookPort {
  readonly #options: HookServiceOptions;
  #held = 0;

  constructor(options: HookServiceOptions) {
    this.#options = options;
  }

  async open(token: string, signal: AbortSignal | undefined): Promise<OpenHook> {
    const address = this.#options.urls.find(token);
    if (address === null) throw unknownHook();
    const found = await this.#waiting(address, signal);
    const { methods } = found.stored.waitingFor as unknown as { methods: readonly string[] };
    return { methods, use: (request) => this.#use(found, request) };
  }

  async #use({ stored: { id }, version, position }: FoundStep, request: HookRequest): Promise<HookResponse> {
    const { answerer, store, secrets } = this.#options;
    checkSignature(version.steps[position]!.step.with?.signature, request, secrets);
    const output = await storable(store, await outputOf(request));
    let response: HookResponse = {};
    await answerer.answer(ANYBODY, id, (found) => {
      if (!isWaiting(found)) throw notWaiting();
      response = found.stored.waitingFor!.response as HookResponse;
      return { output };
    });
    return response;
  }

  /** Returns the step once it waits for a request. @throws EngineError when it never will, or not soon */
  async #waiting(address: HookAddress, signal: AbortSignal | undefined): Promise<FoundStep> {
    const first = await this.#find(address);
    if (first !== null && isWaiting(first)) return first;
    if (this.#held >= MAX_HELD) throw notWaiting();
    this.#held += 1;
    try {
      return await this.#hold(address, signal);
    } finally {
      this.#held -= 1;
    }
  }

  async #hold(address: HookAddress, signal: AbortSignal | undefined): Promise<FoundStep> {
    const until = performance.now() + HOLD_MS;
    while (performance.now() < until && !signal?.aborted) {
      await delay(LOOK_MS, undefined, signal === undefined ? {} : { signal }).catch(() => {});
      const found = await this.#find(address);
      if (found !== null && isWaiting(found)) return found;
    }
    throw notWaiting();
  }

  /** Returns the step; null: it has no row yet. @throws EngineError when there is no such step, or it is over */
  async #find({ executionId, scope, position }: HookAddress): Promise<FoundStep | null> {
    const { pool, versions, answerer } = this.#options;
    const templateId = await readTemplateOf(pool, executionId);
    if (templateId === null) throw unknownHook();
    const version = await versions.get(pool, templateId);
    const stepTemplateId = version.stepTemplateIds[position];
    if (stepTemplateId === undefined) throw unknownHook();
    const id = await readStepId(pool, executionId, scope, stepTemplateId);
    return id === null ? null : answerer.find(ANYBODY, id);
  }
}

/** @throws EngineError when the step is over */
function isWaiting({ stored: { status, waitingFor } }: FoundStep): boolean {
  if (status === 'completed')
    throw new EngineError('already_used', 'This URL takes one request, and had it.');
  if (isFinalStep(status))
    throw new EngineError('wrong_state', `The step of this URL is ${status}: it takes no request any more.`);
  return status === 'waiting' && waitingFor?.kind === 'webhook';
}

function unknownHook(): EngineError {
  return new EngineError('hook_not_found', 'There is no hook of this URL.');
}

function notWaiting(): EngineError {
  return new EngineError(
    'not_waiting',
    'The step of this URL does not wait yet; nothing was used, try again.',
  );
}

/** @throws EngineError('body_too_large', 'not_storable') */
async function storable(store: OutputStore, output: unknown): Promise<JsonPayload> {
  try {
    return await store.payload(output);
  } catch (error) {
    if (!(error instanceof NotStorable)) throw error;
    throw new EngineError(error.kind === 'size' ? 'body_too_large' : 'not_storable', error.message);
  }
}
