/**
 * Requests to the URLs of webhook steps: each URL takes one.
 *
 * Invariant: a request that is refused uses nothing.
 */
import type { HookUrls } from '../../core/hooks/hook-urls.ts';
import type { KeptRequest } from '../../core/hooks/kept-request.ts';
import { isObject, type Json, type JsonObject } from '../../core/json/json.ts';
import { EngineError } from '../../core/problem.ts';
import { isFinalStep } from '../../core/status.ts';
import type { Pool } from '../../db/connection/client.ts';
import { readStepId, readTemplateOf } from '../../db/waits/hooked-step.ts';
import { constantOf, memberOf } from '../../expression/compiled.ts';
import type { OutputStore } from '../../payload/output-store.ts';
import { DEFAULT_HOOK_METHODS, type HookResponse } from '../../steps/webhook/webhook.ts';
import type { TemplateVersion } from '../../template/version.ts';
import type { TemplateVersions } from '../../template/versions.ts';
import type { Caller } from '../caller.ts';
import type { FoundStep, StepAnswerer } from '../steps/answerer.ts';
import { type HookRequest, outputOf, storableRequest } from './hook-request.ts';
import { checkSignature } from './hook-signature.ts';
import { type Hook, KeptRequests } from './kept-requests.ts';

export interface HookServiceOptions {
  readonly pool: Pool;
  readonly urls: HookUrls;
  readonly versions: Pick<TemplateVersions, 'get'>;
  readonly answerer: StepAnswerer;
  readonly store: OutputStore;
  readonly secrets: Readonly<Record<string, string>>;
}

/** A step that takes a request. */
export interface OpenHook {
  /** Null: only the step that waits will say. */
  readonly methods: readonly string[] | null;
  /** Uses the hook, and returns the answer to the request. */
  use(request: HookRequest): Promise<HookResponse>;
}

export interface HookPort {
  /** @param signal ends the time for which a request is held @throws EngineError */
  open(token: string, signal: AbortSignal | undefined): Promise<OpenHook>;
}

/** The token is the right to use the hook. */
const ANYBODY: Caller = { workspaceId: null, admin: true };

export class HookService implements HookPort {
  readonly #options: HookServiceOptions;
  readonly #kept: KeptRequests;

  constructor(options: HookServiceOptions) {
    this.#options = options;
    const { pool, store } = options;
    this.#kept = new KeptRequests({ pool, store, responseNow: (hook) => this.#responseNow(hook) });
  }

  async open(token: string, signal: AbortSignal | undefined): Promise<OpenHook> {
    const { urls, pool, versions, secrets } = this.#options;
    const address = urls.find(token);
    if (address === null) throw unknownHook();
    const templateId = await readTemplateOf(pool, address.executionId);
    if (templateId === null) throw unknownHook();
    const version = await versions.get(pool, templateId);
    const stepTemplateId = version.stepTemplateIds[address.position];
    if (stepTemplateId === undefined) throw unknownHook();
    const written = writtenParams(version, address.position);
    const { key } = version.steps[address.position]!.step;
    const hook = { token, address, stepTemplateId, key, earlyResponse: written.response ?? {} };
    const found = await this.#find(hook);
    const waits = found !== null && isWaiting(found);
    return {
      methods: waits ? (found.stored.waitingFor!.methods as string[]) : written.methods,
      use: async (request) => {
        checkSignature(written.signature, request, secrets);
        const output = (await outputOf(request)) as KeptRequest['request'];
        // Such an execution takes no signals.
        if (found?.stored.executionStatus === 'compensating') return this.#answer(found, output);
        return this.#kept.give(hook, output, signal);
      },
    };
  }

  async #answer({ stored: { id } }: FoundStep, request: JsonObject): Promise<HookResponse> {
    const { answerer, store } = this.#options;
    const output = await storableRequest(store, request);
    let response: HookResponse = {};
    await answerer.answer(ANYBODY, id, (found) => {
      if (!isWaiting(found)) throw notWaiting();
      response = found.stored.waitingFor!.response as HookResponse;
      return { output };
    });
    return response;
  }

  async #responseNow(hook: Hook): Promise<HookResponse | null> {
    const found = await this.#find(hook);
    return found !== null && isWaiting(found) ? (found.stored.waitingFor!.response as HookResponse) : null;
  }

  /** Returns the step; null: it has no row yet. */
  async #find({ address: { executionId, scope }, stepTemplateId }: Hook): Promise<FoundStep | null> {
    const { pool, answerer } = this.#options;
    const id = await readStepId(pool, executionId, scope, stepTemplateId);
    return id === null ? null : answerer.find(ANYBODY, id);
  }
}

interface WrittenParams {
  /** Null: an expression says which. */
  readonly methods: readonly string[] | null;
  /** Null: it has expressions. */
  readonly response: HookResponse | null;
  readonly signature: Json | undefined;
}

/** Returns the parameters of a step as far as they are known before it waits. */
function writtenParams({ steps }: TemplateVersion, position: number): WrittenParams {
  const { params, step } = steps[position]!;
  const written = (name: string, fallback: Json): Json | undefined => {
    const node = params === null ? undefined : memberOf(params, name);
    return node === undefined ? fallback : constantOf(node);
  };
  const methods = written('methods', [...DEFAULT_HOOK_METHODS]);
  const response = written('response', {});
  return {
    methods: Array.isArray(methods) ? (methods as string[]) : null,
    response: response !== undefined && isObject(response) ? (response as HookResponse) : null,
    signature: step.with?.signature,
  };
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
