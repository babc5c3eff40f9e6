/**
 * An attempt whose handler runs in a step host, as the engine sees it.
 */

import type { WaitingFor } from '../../core/event.ts';
import type { Json } from '../../core/json/json.ts';
import { JsonPayload } from '../../payload/json-payload.ts';
import { encodeFrame } from '../../process/frame.ts';
import { type ScriptOptions, type StepContext, StepFailure } from '../../steps/step-type.ts';
import type { Attempt } from '../attempt.ts';
import type { LostBy, Outcome } from '../outcome.ts';
import {
  encodePlain,
  encodeValues,
  type HostedEnd,
  type RunRequest,
  stepFailure,
  withStack,
} from './wire.ts';

export interface HostedCall {
  /** Whose it is: workspaces take turns. */
  readonly workspace: string;
  readonly type: string;
  readonly attempt: Attempt;
  readonly context: StepContext;
  /** Whether an expression may have produced parameters that JSON cannot write. */
  readonly dynamic: boolean;
  /** Number of processes of this step that died. */
  readonly crashes: number;
  /** Whether it runs in a process of its own. */
  readonly alone: boolean;
  readonly heartbeatTimeoutMs: number | null;
}

export class HostedRun {
  readonly id: number;
  readonly call: HostedCall;
  /** Rejects with what the handler threw. */
  readonly outcome: Promise<Outcome>;
  /** Whether the host was about to call the handler. */
  begun = false;
  /** Time at which the attempt ended before its handler, of performance.now(); null: it has not. */
  abandonedAt: number | null = null;
  /** It let its host answer after it was told to end. */
  hasYielded = false;
  /** Whether the result is known. */
  settled = false;
  /** Processes that died before the handler began. */
  unbegunDeaths = 0;
  /** Running scripts of the handler, by call. */
  readonly scripts = new Map<number, AbortController>();
  readonly #resolve: (outcome: Outcome) => void;
  readonly #reject: (error: unknown) => void;

  constructor(id: number, call: HostedCall) {
    const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
    this.id = id;
    this.call = call;
    this.outcome = promise;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  get workspace(): string {
    return this.call.workspace;
  }

  get isAlone(): boolean {
    return this.call.alone;
  }

  frame(): Buffer {
    const { type, context, dynamic, heartbeatTimeoutMs } = this.call;
    const { hasParams, execution, step, attempt, idempotencyKey, resumed, params, inputs } = context;
    const { text, special } = dynamic ? encodeValues([params, inputs]) : encodePlain([params, inputs]);
    const about = {
      id: this.id,
      type,
      hasParams,
      execution,
      step,
      attempt,
      idempotencyKey,
      resumed,
      heartbeatTimeoutMs,
      special,
    };
    return encodeFrame({ kind: 'run', ...about } satisfies RunRequest, text);
  }

  begin(): void {
    this.begun = true;
    this.call.attempt.resumeTimeouts();
  }

  fail(error: unknown): void {
    this.settled = true;
    this.#reject(error);
  }

  /** Ends the run without its handler's end: its process is gone, or takes no work. */
  lose(event: LostBy): void {
    this.settled = true;
    this.#resolve({ kind: 'lost', event });
  }

  /** Settles the run with the host's report of the handler's end. */
  settle(end: HostedEnd, body: string): void {
    this.settled = true;
    switch (end.kind) {
      case 'completed':
        this.#resolve({ kind: 'completed', output: new JsonPayload(body), routes: end.routes });
        return;
      case 'parked':
        this.#resolve({
          kind: 'parked',
          pause: end.pause,
          ...(JSON.parse(body) as { state: Json; waitingFor: WaitingFor | null }),
        });
        return;
      case 'failed':
        this.#reject(withStack(stepFailure(end.failure), end.stack));
        return;
      case 'aborted':
        this.#reject(this.call.attempt.abortReason);
        return;
      case 'threw':
        this.#reject(withStack(named(new Error(end.message), end.name), end.stack));
        return;
      default:
        end satisfies never;
    }
  }

  /** Runs a script of the handler, and ends it with the handler. */
  runScript(call: number, code: string, input: Json, limits: Omit<ScriptOptions, 'signal'>): Promise<Json> {
    const controller = new AbortController();
    this.scripts.set(call, controller);
    const { signal } = controller;
    return this.call.context.runScript(code, input, { ...limits, signal });
  }

  /** Ends all scripts of the handler. */
  endScripts(): void {
    for (const controller of this.scripts.values())
      controller.abort(new StepFailure('aborted', 'It has ended.'));
    this.scripts.clear();
  }
}

/** Gives an error from another process the name that it had there. */
function named(error: Error, name: string): Error {
  return name === error.name ? error : Object.defineProperty(error, 'name', { value: name });
}
