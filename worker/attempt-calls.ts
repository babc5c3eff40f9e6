/**
 * The requests that a handler may make of the engine during its attempt, behind its context.
 */
import type { Json, JsonObject } from '../core/json/json.ts';
import { compileValue } from '../expression/compiled-value.ts';
import type { Evaluator } from '../expression/evaluator.ts';
import type { ScopeParts } from '../payload/expression-scope.ts';
import type { ReadableExecution } from '../payload/readable-execution.ts';
import type { ScopeNames, ScriptOptions, StepLog } from '../steps/step-type.ts';
import type { CompiledStep } from '../template/version.ts';
import type { Attempt } from './attempt.ts';
import type { HandlerCalls } from './attempt-context.ts';
import type { AttemptLog } from './attempt-log.ts';
import type { OwnedScript } from './script.ts';

export interface AttemptCallsOptions {
  readonly evaluator: Evaluator;
  runScript(code: string, input: Json, options: OwnedScript, log: StepLog): Promise<Json>;
  keepTurn(attempt: Attempt, number: number, turn: JsonObject): Promise<void>;
  newLog(): AttemptLog;
}

/** An attempt with the data that its expressions read. */
export interface ScopedAttempt {
  readonly loaded: ReadableExecution;
  readonly attempt: Attempt;
  readonly compiled: CompiledStep;
  readonly scope: ScopeParts;
}

export class AttemptCalls implements HandlerCalls {
  readonly #options: AttemptCallsOptions;
  readonly #of: ScopedAttempt;

  constructor(options: AttemptCallsOptions, of: ScopedAttempt) {
    this.#options = options;
    this.#of = of;
  }

  evaluate(value: Json, names?: ScopeNames): Json | Promise<Json> {
    const { compiled, scope } = this.#of;
    const text = JSON.stringify(value);
    let expression = compiled.deferred?.get(text);
    if (expression === undefined) {
      expression = compileValue(value);
      compiled.deferred ??= new Map();
      compiled.deferred.set(text, expression);
    }
    const read = names === undefined ? scope : { ...scope, ...names };
    return this.#options.evaluator.evaluate(expression, read, callOf(this.#of)) as Json | Promise<Json>;
  }

  keepTurn(number: number, turn: JsonObject): Promise<void> {
    return this.#options.keepTurn(this.#of.attempt, number, turn);
  }

  newLog(): AttemptLog {
    return this.#options.newLog();
  }

  runScript(code: string, input: Json, options: ScriptOptions, log: StepLog): Promise<Json> {
    const { workspaceId: workspace, id: execution } = this.#of.loaded;
    return this.#options.runScript(code, input, { ...options, workspace, execution }, log);
  }
}

/** Returns whose evaluation it is. The signal is created only when a sandboxed evaluation reads it. */
export function callOf({ attempt, loaded: { workspaceId: workspace, id: execution } }: ScopedAttempt) {
  return {
    workspace,
    execution,
    get signal() {
      return attempt.signal;
    },
  };
}
