/**
 * Outputs of executions that complete: payloads from memory or the database, and the template's `output` evaluated.
 */
import type { Json } from '../core/json.ts';
import type { Plan } from '../core/plan.ts';
import type { Db } from '../db/client.ts';
import type { Evaluator } from '../expression/evaluator.ts';
import type { Actor } from './actor.ts';
import type { Outputs } from './outputs.ts';
import type { JsonPayload } from './payload.ts';
import { loadMissing, stepsScope } from './scope.ts';
import type { OutputStore } from './storable-output.ts';

export class ExecutionOutputs implements Outputs {
  readonly #db: Db;
  readonly #evaluator: Evaluator;
  readonly #store: OutputStore;
  readonly #secrets: Readonly<Record<string, string>>;

  constructor(db: Db, evaluator: Evaluator, store: OutputStore, secrets: Readonly<Record<string, string>>) {
    this.#db = db;
    this.#evaluator = evaluator;
    this.#store = store;
    this.#secrets = secrets;
  }

  load(
    actor: Actor,
    plan: Plan,
    positions: readonly number[],
  ): Map<number, JsonPayload> | Promise<Map<number, JsonPayload>> {
    takePayloads(actor, plan);
    const loading = loadMissing(this.#db, actor, plan.view, { input: false, positions });
    return loading === null ? actor.outputs : loading.then(() => actor.outputs);
  }

  evaluate(actor: Actor, plan: Plan): string | Promise<string> {
    takePayloads(actor, plan);
    const output = actor.version!.output!;
    const { graph } = plan.view;
    const named = output.stepReferences.map(({ key }) => graph.positions.get(key)!);
    const positions = output.dynamicSteps ? [...graph.steps.keys()] : [...new Set(named)];
    const loading = loadMissing(this.#db, actor, plan.view, { input: output.roots.has('input'), positions });
    const run = () => {
      const { name, version } = actor.version!;
      const value = this.#evaluator.evaluate(output, {
        input: actor.inputs?.value ?? null,
        steps: stepsScope(actor, plan.view, positions),
        inputs: {},
        execution: { id: actor.id, template: name, version },
        secrets: this.#secrets,
        vars: {},
      });
      return value instanceof Promise ? value.then((done) => this.#text(done)) : this.#text(value);
    };
    return loading === null ? run() : loading.then(run);
  }

  #text(value: unknown): string {
    return this.#store.payload(value as Json).json;
  }
}

/** What the plan is about to write counts as known. */
function takePayloads(actor: Actor, plan: Plan): void {
  for (const [position, { output, error }] of plan.steps) {
    if (output !== null) actor.outputs.set(position, output as JsonPayload);
    if (error !== null) actor.errors.set(position, error);
  }
}
