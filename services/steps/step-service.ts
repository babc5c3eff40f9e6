/**
 * Single steps: read, and ended from outside while they wait.
 */
import type { HookUrls } from '../../core/hooks/hook-urls.ts';
import type { Pool } from '../../db/connection/client.ts';
import { readInputsOfStep } from '../../db/waits/step.ts';
import type { OutputStore } from '../../payload/output-store.ts';
import { storedError } from '../../payload/stored-error.ts';
import { type Caller, seesHooks } from '../caller.ts';
import { stepBody, stepError } from '../execution-status.ts';
import { storable } from '../storable.ts';
import { type FoundStep, requireWaiting, type StepAnswerer } from './answerer.ts';
import type { AnsweredStepBody, CompleteBody, FailBody, StepBody, StepServicePort } from './answers.ts';

export interface StepServiceOptions {
  readonly pool: Pool;
  readonly answerer: StepAnswerer;
  readonly store: OutputStore;
  readonly hookUrls: HookUrls;
}

/** Kinds of waits that `complete` and `fail` end. */
const COMPLETED_BY_HAND = ['form', 'webhook', 'task'];

export class StepService implements StepServicePort {
  readonly #options: StepServiceOptions;

  constructor(options: StepServiceOptions) {
    this.#options = options;
  }

  async get(caller: Caller, stepId: string): Promise<readonly string[]> {
    const { pool, answerer, hookUrls } = this.#options;
    const { stored, version, position } = await answerer.find(caller, stepId, true);
    const inputs = await readInputsOfStep(pool, stepId);
    const keyOf = new Map(
      inputs.map(({ fromStepId, fromStepTemplateId }) => [
        fromStepId,
        version.steps[version.positions.get(fromStepTemplateId)!]!.step.key,
      ]),
    );
    const { executionId, scope } = stored;
    const url = () => (seesHooks(caller) ? hookUrls.of({ executionId, scope, position }) : null);
    const body = {
      ...stepBody(version, position, stored, { edges: inputs, keyOf, url }),
      execution_id: stored.executionId,
      template: version.name,
      version: version.version,
    } satisfies Omit<StepBody, 'outputs' | 'error'>;
    const error = stepError(stored);
    return [
      JSON.stringify(body).slice(0, -1),
      ',"error":',
      error,
      ',"outputs":',
      stored.outputs ?? 'null',
      '}',
    ];
  }

  async complete(caller: Caller, stepId: string, { output }: CompleteBody): Promise<AnsweredStepBody> {
    const { answerer, store } = this.#options;
    const payload = await storable(store, output, '/output');
    const step = await answerer.answer(caller, stepId, (found) => {
      requireWaiting(found, COMPLETED_BY_HAND);
      return { output: payload };
    });
    return answered(step);
  }

  async fail(caller: Caller, stepId: string, body: FailBody): Promise<AnsweredStepBody> {
    const { answerer, store } = this.#options;
    const { code, message, details = null } = body.error;
    const error = await storedError(store, { code, message, details });
    const step = await answerer.answer(caller, stepId, (found) => {
      requireWaiting(found, COMPLETED_BY_HAND);
      return { error, retryable: body.retryable ?? false };
    });
    return answered(step);
  }
}

function answered({ stored, version, position }: FoundStep): AnsweredStepBody {
  const { id, executionId, status } = stored;
  return { id, execution_id: executionId, key: version.steps[position]!.step.key, status };
}
