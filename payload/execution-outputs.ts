/**
 * Makes outputs of completed executions: payloads from memory or the database, and the template's `output` evaluated.
 */
import { next } from '../core/next.ts';
import type { Plan } from '../core/plan.ts';
import type { Evaluator } from '../expression/evaluator.ts';
import type { OutputCall, Outputs } from './execution-output.ts';
import { gatherOutputScope } from './expression-scope.ts';
import type { JsonPayload } from './json-payload.ts';
import type { OutputStore } from './output-store.ts';
import type { ReadableExecution } from './readable-execution.ts';
import type { ScopeSource } from './scope-source.ts';

const MAX_MESSAGE_LENGTH = 10_000;

export class ExecutionOutputs implements Outputs {
  readonly #source: ScopeSource;
  readonly #evaluator: Evaluator;
  readonly #store: OutputStore;

  constructor(source: ScopeSource, evaluator: Evaluator, store: OutputStore) {
    this.#source = source;
    this.#evaluator = evaluator;
    this.#store = store;
  }

  load(
    execution: ReadableExecution,
    plan: Plan,
    slots: readonly number[],
  ): ReadonlyMap<number, JsonPayload> | Promise<ReadonlyMap<number, JsonPayload>> {
    const reading = this.#source.payloads.read(
      execution,
      plan.view,
      { input: false, slots, values: false },
      plan,
    );
    return next(reading, ({ outputs }) => outputs);
  }

  evaluate(execution: ReadableExecution, plan: Plan, call: OutputCall): string | Promise<string> {
    const output = execution.scope.output!;
    return next(gatherOutputScope(this.#source, execution, plan), (scope) => {
      const value = this.#evaluator.evaluate(output, scope, {
        workspace: execution.workspaceId,
        execution: execution.id,
        get signal() {
          return call.signal;
        },
      });
      return next(value, (done) => this.#text(done));
    });
  }

  message(error: unknown): string {
    return this.#store.text(error instanceof Error ? error.message : String(error), MAX_MESSAGE_LENGTH);
  }

  #text(value: unknown): string | Promise<string> {
    return next(this.#store.payload(value), ({ json }) => json);
  }
}
