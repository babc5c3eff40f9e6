/**
 * The context passed to a handler. Costly members are created on first use.
 */
import type { Json, JsonObject } from '../core/json/json.ts';
import type { ScopeAccess, ScopeNames, ScriptOptions, StepContext, StepLog } from '../steps/step-type.ts';
import type { Log } from '../telemetry/log.ts';
import type { Attempt } from './attempt.ts';
import type { AttemptLog, LogLevel } from './attempt-log.ts';

export interface ContextParts {
  readonly attempt: Attempt;
  readonly params: JsonObject;
  readonly hasParams: boolean;
  readonly inputs: Record<string, Json>;
  readonly key: string;
  readonly resumed: StepContext['resumed'];
  readonly secrets: Readonly<Record<string, string>>;
  readonly log: Log;
  /** Null: the step holds no scopes. */
  readonly scopes: ScopeAccess | null;
  readonly calls: HandlerCalls;
}

/** What a handler may ask of the engine. */
export interface HandlerCalls {
  newLog(): AttemptLog;
  evaluate(value: Json, names?: ScopeNames): Json | Promise<Json>;
  keepTurn(number: number, turn: JsonObject): Promise<void>;
  runScript(code: string, input: Json, options: ScriptOptions, log: StepLog): Promise<Json>;
}

export class AttemptContext implements StepContext {
  readonly params: JsonObject;
  readonly hasParams: boolean;
  readonly inputs: Readonly<Record<string, Json>>;
  readonly attempt: number;
  readonly idempotencyKey: string;
  readonly resumed: StepContext['resumed'];
  readonly secrets: Readonly<Record<string, string>>;
  readonly scopes?: ScopeAccess;
  readonly #parts: ContextParts;
  #log: StepLog | null = null;

  constructor(parts: ContextParts) {
    this.#parts = parts;
    this.params = parts.params;
    this.hasParams = parts.hasParams;
    this.inputs = parts.inputs;
    this.attempt = parts.attempt.claim.attempt;
    this.idempotencyKey = parts.attempt.idempotencyKey;
    this.resumed = parts.resumed;
    this.secrets = parts.secrets;
    if (parts.scopes !== null) this.scopes = parts.scopes;
  }

  get execution() {
    return this.#parts.attempt.execution;
  }

  get step() {
    return { id: this.#parts.attempt.stepId, key: this.#parts.key };
  }

  get signal(): AbortSignal {
    return this.#parts.attempt.signal;
  }

  get log(): StepLog {
    this.#log ??= stepLog(this.#parts);
    return this.#log;
  }

  // Getters, so that handlers may destructure the context.
  get heartbeat(): StepContext['heartbeat'] {
    const { attempt } = this.#parts;
    return () => {
      if (attempt.abortReason !== null) throw attempt.abortReason;
    };
  }

  get evaluate(): StepContext['evaluate'] {
    const { calls } = this.#parts;
    return (value, names) => calls.evaluate(value, names);
  }

  get keepTurn(): StepContext['keepTurn'] {
    const { calls } = this.#parts;
    return (number, turn) => calls.keepTurn(number, turn);
  }

  get runScript(): StepContext['runScript'] {
    const { calls } = this.#parts;
    return (code, input, options) => calls.runScript(code, input, options, this.log);
  }
}

/** Lines go to the log of the engine, and are kept with the attempt. */
function stepLog({ log, attempt, key, calls }: ContextParts): StepLog {
  const { id: execution, template, version } = attempt.execution;
  const child = log.child({ execution, template, version, step: key, attempt: attempt.claim.attempt });
  const write =
    (level: LogLevel): StepLog[LogLevel] =>
    (message, fields) => {
      child[level](fields ?? {}, message);
      attempt.log ??= calls.newLog();
      attempt.log.add(level, message, fields);
    };
  return { info: write('info'), warn: write('warn'), error: write('error') };
}
