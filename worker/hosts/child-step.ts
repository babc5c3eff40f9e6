/**
 * One attempt inside a step host: the context of its handler, and the report of its end.
 *
 * A handler's requests to the engine (an expression, a script) are sent there, and the replies back.
 *
 * Invariant: an end is reported exactly once, and no message follows it.
 */
import type { Json, JsonObject } from '../../core/json/json.ts';
import { cutText } from '../../core/text/cut.ts';
import { errorName } from '../../core/text/error-name.ts';
import { NotStorable, type OutputStore } from '../../payload/output-store.ts';
import {
  type ScriptOptions,
  type StepContext,
  StepFailure,
  type StepLog,
  type StepType,
} from '../../steps/step-type.ts';
import { MAX_LOG_LINE_LENGTH, MAX_LOG_TEXT_LENGTH } from '../../telemetry/log-line.ts';
import { outcomeOf } from '../outcome.ts';
import { say, sayNow } from './child-output.ts';
import {
  encodeValues,
  heartbeatPauseMs,
  MAX_CALL_BYTES,
  messageOf,
  type RunRequest,
  stackOf,
  stepFailure,
  type WireFailure,
  wireFailure,
} from './wire.ts';

interface Call {
  resolve(value: Json): void;
  reject(error: unknown): void;
}

/** Calls of all attempts of this process that wait for the engine's reply. */
const calls = new Map<number, Call>();
let lastCall = 0;

export function replied(call: number, value: Json, failure: WireFailure | null): void {
  const waiting = calls.get(call);
  calls.delete(call);
  if (failure === null) waiting?.resolve(value);
  else waiting?.reject(stepFailure(failure));
}

export class HostedStep implements StepContext {
  readonly params: JsonObject;
  readonly hasParams: boolean;
  readonly inputs: Readonly<Record<string, Json>>;
  readonly execution: StepContext['execution'];
  readonly step: StepContext['step'];
  readonly attempt: number;
  readonly idempotencyKey: string;
  readonly resumed: StepContext['resumed'];
  readonly secrets: Readonly<Record<string, string>>;
  readonly #id: number;
  readonly #controller = new AbortController();
  /** Null: heartbeats are not expected. */
  readonly #beatPauseMs: number | null;
  /** Time of the last heartbeat, of performance.now(). */
  #beatAt = Number.NEGATIVE_INFINITY;
  #reason: StepFailure | null = null;
  #ended = false;

  constructor(
    request: RunRequest,
    [params, inputs]: readonly [JsonObject, Record<string, Json>],
    secrets: Readonly<Record<string, string>>,
  ) {
    this.#id = request.id;
    this.params = params;
    this.hasParams = request.hasParams;
    this.inputs = inputs;
    this.execution = request.execution;
    this.step = request.step;
    this.attempt = request.attempt;
    this.idempotencyKey = request.idempotencyKey;
    this.resumed = request.resumed;
    this.secrets = secrets;
    const { heartbeatTimeoutMs } = request;
    this.#beatPauseMs = heartbeatTimeoutMs === null ? null : heartbeatPauseMs(heartbeatTimeoutMs);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  // Getters, so that handlers may destructure the context.
  get log(): StepLog {
    const write = (level: 'info' | 'warn' | 'error') => (message: string, fields?: JsonObject) => {
      if (this.#ended) return;
      const line = cutText(String(message), MAX_LOG_TEXT_LENGTH);
      say({ kind: 'log', id: this.#id, level, message: line, fields: loggable(fields) });
    };
    return { info: write('info'), warn: write('warn'), error: write('error') };
  }

  get heartbeat(): StepContext['heartbeat'] {
    return () => {
      if (this.#reason !== null) throw this.#reason;
      this.#beat();
    };
  }

  get evaluate(): StepContext['evaluate'] {
    return (value) => this.#call(value, (call) => ({ kind: 'evaluate', id: this.#id, call }));
  }

  get keepTurn(): StepContext['keepTurn'] {
    return async (number, turn) => {
      await this.#call(turn, (call) => ({ kind: 'turn', id: this.#id, call, number }));
    };
  }

  get runScript(): StepContext['runScript'] {
    return (code, input, options) => this.#runScript(code, input, options);
  }

  /** Sent at once: a handler that is busy computing may not yield for long. */
  #beat(): void {
    if (this.#ended || this.#beatPauseMs === null) return;
    const now = performance.now();
    if (now - this.#beatAt < this.#beatPauseMs) return;
    this.#beatAt = now;
    sayNow({ kind: 'beat', id: this.#id });
  }

  abort(reason: StepFailure): void {
    if (this.#reason !== null) return;
    this.#reason = reason;
    this.#controller.abort(reason);
  }

  /** Runs the handler to its end and reports the outcome. @param type is loaded still, if it is a promise */
  async run(type: StepType | Promise<StepType>, store: OutputStore): Promise<void> {
    try {
      const ready = type instanceof Promise ? await this.#loaded(type) : type;
      this.#succeed(await ready.run(this), store);
    } catch (error) {
      this.#failSafely(error, store);
    }
    this.#ended = true;
  }

  /** @throws the reason of an abort meanwhile */
  async #loaded(type: Promise<StepType>): Promise<StepType> {
    const loaded = await type;
    this.signal.throwIfAborted();
    return loaded;
  }

  #succeed(result: unknown, store: OutputStore): void {
    const id = this.#id;
    const outcome = outcomeOf(result);
    switch (outcome.kind) {
      case 'completed': {
        const routes = outcome.routes === null ? null : store.routes(outcome.routes);
        say({ kind: 'completed', id, routes }, store.payloadNow(outcome.output).json);
        return;
      }
      case 'parked':
        say(
          { kind: 'parked', id, pause: outcome.pause },
          store.payloadNow({ state: outcome.state, waitingFor: outcome.waitingFor }).json,
        );
        return;
      // Handlers of types that hold scopes run in the engine.
      case 'holding':
        throw new Error('A step type outside of the engine cannot open scopes.');
      case 'child':
        throw new Error('A step type outside of the engine cannot start child executions.');
      default:
        outcome satisfies never;
    }
  }

  /** Guards against errors that throw when they are inspected. */
  #failSafely(error: unknown, store: OutputStore): void {
    try {
      this.#fail(error, store);
    } catch (second) {
      say({
        kind: 'threw',
        id: this.#id,
        name: errorName(second),
        message: messageOf(second),
        stack: stackOf(second),
      });
    }
  }

  #fail(error: unknown, store: OutputStore): void {
    const id = this.#id;
    const stack = stackOf(error);
    if (this.#reason !== null && (error === this.#reason || !(error instanceof StepFailure))) {
      say({ kind: 'aborted', id });
    } else if (error instanceof StepFailure) {
      say({ kind: 'failed', id, failure: wireFailure(error, storable(error.details, store)), stack });
    } else if (error instanceof NotStorable) {
      say({
        kind: 'failed',
        id,
        failure: wireFailure(new StepFailure(error.code, error.message), null),
        stack,
      });
    } else {
      say({ kind: 'threw', id, name: errorName(error), message: messageOf(error), stack });
    }
  }

  async #runScript(code: string, input: Json, options: ScriptOptions): Promise<Json> {
    const { timeoutMs, memoryBytes, signal } = options;
    signal.throwIfAborted();
    let call = 0;
    const abort = () => say({ kind: 'abort-call', id: this.#id, call });
    signal.addEventListener('abort', abort, { once: true });
    try {
      return await this.#call(input, (number) => {
        call = number;
        return { kind: 'script', id: this.#id, call, code, timeoutMs, memoryBytes };
      });
    } catch (error) {
      throw signal.aborted ? signal.reason : error;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  async #call(value: Json, message: (call: number) => Parameters<typeof say>[0]): Promise<Json> {
    if (this.#ended) throw new Error('The attempt has ended.');
    const call = ++lastCall;
    const { text } = encodeValues([value]);
    if (text.length > MAX_CALL_BYTES) throw new NotStorable('What is handed to the engine is too large.');
    const { promise, resolve, reject } = Promise.withResolvers<Json>();
    calls.set(call, { resolve, reject });
    say(message(call), text);
    return promise;
  }
}

function storable(value: unknown, store: OutputStore): Json {
  try {
    return store.payloadNow(value).value;
  } catch {
    return null;
  }
}

function loggable(fields: JsonObject | undefined): JsonObject | null {
  try {
    const text = JSON.stringify(fields ?? null);
    return text.length > MAX_LOG_LINE_LENGTH
      ? { fields: cutText(text, MAX_LOG_TEXT_LENGTH) }
      : (fields ?? null);
  } catch (error) {
    return { unreadable: messageOf(error) };
  }
}
