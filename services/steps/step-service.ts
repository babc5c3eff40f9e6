/**
 * Single steps: read, and ended from outside while they wait.
 */
import { compensationOf } from '../../core/compensation/compensation.ts';
import type { DryRun } from '../../core/control/dry-run.ts';
import type { ForcedResult } from '../../core/event.ts';
import { graphAt } from '../../core/graph.ts';
import type { HookUrls } from '../../core/hooks/hook-urls.ts';
import { isObject, type Json } from '../../core/json/json.ts';
import { EngineError } from '../../core/problem.ts';
import type { RequestProblem } from '../../core/problem-code.ts';
import { slotOf } from '../../core/view.ts';
import { readAttempts, readLogs, readTurns } from '../../db/attempts/kept-attempts.ts';
import { readChildren } from '../../db/children/tree.ts';
import type { Pool } from '../../db/connection/client.ts';
import { readExecution, readStates } from '../../db/execution-queries.ts';
import { readHeldScopes } from '../../db/scopes/held-scopes.ts';
import { readStepId } from '../../db/waits/hooked-step.ts';
import { readInputsOfStep, readStep, type StoredStep } from '../../db/waits/step.ts';
import type { OutputStore } from '../../payload/output-store.ts';
import { storedError } from '../../payload/stored-error.ts';
import { type Caller, seesHooks } from '../caller.ts';
import type { ForceService } from '../control/force-service.ts';
import { callingSteps, compensationJson, stepBody, withChildren } from '../execution-status.ts';
import type { FormJudge } from '../forms/form-judge.ts';
import { formOf } from '../forms/form-wait.ts';
import { storable } from '../storable.ts';
import { visible } from '../visible.ts';
import { stepError } from './answer-parts.ts';
import { type FoundStep, forceRequired, requireWaiting, type StepAnswerer } from './answerer.ts';
import type {
  AnsweredStepBody,
  CompleteBody,
  FailBody,
  ForceBody,
  StepBody,
  StepServicePort,
} from './answers.ts';
import { attemptsJson } from './attempts.ts';
import type { EvaluatedParams } from './evaluated-params.ts';
import { readQueueWaits } from './queue-waits.ts';
import type { QueueWaits } from './wait-body.ts';

export interface StepServiceOptions {
  readonly pool: Pool;
  readonly answerer: StepAnswerer;
  readonly store: OutputStore;
  readonly hookUrls: HookUrls;
  readonly forms: FormJudge;
  readonly params: EvaluatedParams;
  readonly forcer: Pick<ForceService, 'force'>;
}

/** Kinds of waits that `complete` and `fail` end. */
const COMPLETED_BY_HAND = ['form', 'webhook', 'task'];

export class StepService implements StepServicePort {
  readonly #options: StepServiceOptions;

  constructor(options: StepServiceOptions) {
    this.#options = options;
  }

  async get(caller: Caller, stepId: string): Promise<readonly string[]> {
    const { pool, answerer, hookUrls, params } = this.#options;
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
    const children = await readChildren(pool, callingSteps(version, [stored]));
    const held = (await readHeldScopes(pool, version.graphs.length === 1 ? [] : [stepId])).get(stepId);
    const queueWaits = await this.#queueWaits({ stored, version, position });
    const [state] = await readStates(pool, [executionId]);
    const execution = visible(caller, 'execution', executionId, state ?? null);
    const parts = { edges: inputs, keyOf, url, held, execution, queueWaits };
    const body = {
      ...withChildren(stepBody(version, position, stored, parts), children),
      execution_id: stored.executionId,
      template: version.name,
      version: version.version,
    } satisfies Omit<StepBody, 'params' | 'outputs' | 'error' | 'attempts' | 'compensation'>;
    const error = stepError(stored);
    const [attempts, turns, logs] = await Promise.all([
      readAttempts(pool, stepId),
      readTurns(pool, stepId),
      readLogs(pool, stepId),
    ]);
    return [
      JSON.stringify(body).slice(0, -1),
      ',"error":',
      error,
      ',"compensation":',
      compensationJson(await this.#compensation({ stored, version, position })),
      ',"params":',
      await params.of(caller, { stored, version, position }),
      ',"outputs":',
      stored.outputs ?? 'null',
      ',"attempts":',
      ...attemptsJson(stored, { attempts, turns, logs }),
      '}',
    ];
  }

  /** Returns the compensation of a step; undefined: it has none, or nothing has undone it yet. */
  async #compensation({ stored, version, position }: FoundStep): Promise<StoredStep | undefined> {
    const graph = graphAt(version.graphs, position);
    const slot = compensationOf(graph, slotOf(graph, position));
    if (slot === null) return undefined;
    const { pool } = this.#options;
    const templateId = version.stepTemplateIds[graph.firstPosition + slot]!;
    const id = await readStepId(pool, stored.executionId, stored.scope, templateId);
    return id === null ? undefined : ((await readStep(pool, id, false)) ?? undefined);
  }

  async #queueWaits({ stored, version }: FoundStep): Promise<QueueWaits> {
    const { pool, store } = this.#options;
    const execution = stored.status === 'queued' ? await readExecution(pool, stored.executionId) : null;
    return execution === null
      ? new Map()
      : readQueueWaits(pool, store, { version, execution, steps: [stored] });
  }

  async complete(caller: Caller, stepId: string, body: CompleteBody): Promise<AnsweredStepBody | DryRun> {
    const { answerer, store, forms } = this.#options;
    const output = await storable(store, body.output, '/output');
    if (isForced(body)) {
      const { version, position } = await answerer.find(caller, stepId);
      const hasRoutes = version.steps[position]!.type.routes !== undefined;
      const routes = hasRoutes ? routesIn(body.output ?? null) : null;
      return this.#force(caller, stepId, { kind: 'complete', output, routes }, body);
    }
    const step = await answerer.answer(caller, stepId, (found) => {
      requireByHand(found);
      const form = formOf(found.stored.waitingFor);
      if (form !== null) return forms.complete(found, form, body, output);
      refuseFieldsOfForms(body);
      return { output };
    });
    return answered(step);
  }

  async fail(caller: Caller, stepId: string, body: FailBody): Promise<AnsweredStepBody | DryRun> {
    const { answerer, store, forms } = this.#options;
    const { code = '', message = '', details = null } = body.error ?? {};
    const error = await storedError(store, { code, message, details });
    if (isForced(body)) {
      if (body.error === undefined) throw refusedField('/error', 'required', 'error is missing.');
      return this.#force(caller, stepId, { kind: 'fail', error }, body);
    }
    const step = await answerer.answer(caller, stepId, (found) => {
      requireByHand(found);
      const form = formOf(found.stored.waitingFor);
      if (form !== null) return forms.fail(found, form, body);
      refuseFieldsOfForms(body);
      if (body.error === undefined) throw refusedField('/error', 'required', 'error is missing.');
      return { error, retryable: body.retryable ?? false };
    });
    return answered(step);
  }

  async skip(caller: Caller, stepId: string, body: ForceBody): Promise<AnsweredStepBody | DryRun> {
    const found = await this.#options.answerer.find(caller, stepId);
    if (!isForced(body)) throw forceRequired(found, 'it is skipped only with force: true');
    return this.#force(caller, stepId, { kind: 'skip' }, body);
  }

  async #force(caller: Caller, stepId: string, result: ForcedResult, { dry_run: isDry = false }: ForceBody) {
    const forced = await this.#options.forcer.force(caller, stepId, result, isDry);
    return 'dry_run' in forced ? forced : answered(forced);
  }
}

/** Returns whether the step is to be ended whatever it does. @throws EngineError('validation_failed') */
function isForced({ force = false, dry_run: isDry = false }: ForceBody): boolean {
  if (isDry && !force) throw refusedField('/dry_run', 'not_allowed', 'dry_run goes with force: true.');
  return force;
}

/** The routes that the output of a `switch` names. */
function routesIn(output: Json): string[] {
  const routes = isObject(output) && Array.isArray(output.routes) ? output.routes : [];
  return routes.filter((route) => typeof route === 'string');
}

/** @throws EngineError('validation_failed') when fields are given that only forms have */
function refuseFieldsOfForms(body: CompleteBody & FailBody): void {
  for (const field of ['user_id', 'decision', 'comment'] as const) {
    if (body[field] !== undefined)
      throw refusedField(
        `/${field}`,
        'unknown_field',
        `${field} is for forms; the step waits for something else.`,
      );
  }
}

function refusedField(pointer: string, code: RequestProblem, message: string): EngineError {
  return new EngineError('validation_failed', message, [{ pointer, code, message }]);
}

/** @throws EngineError unless the step may be ended by hand */
function requireByHand(found: FoundStep): void {
  requireWaiting(found, COMPLETED_BY_HAND);
  const { id, waitingFor } = found.stored;
  const worker = waitingFor?.kind === 'task' ? (waitingFor.claimed_by ?? null) : null;
  if (worker === null) return;
  throw new EngineError(
    'task_claimed',
    `Task ${id} is claimed by the worker ${JSON.stringify(worker)}, who will end it.`,
  );
}

function answered({ stored, version, position }: FoundStep): AnsweredStepBody {
  const { id, executionId, status } = stored;
  return { id, execution_id: executionId, key: version.steps[position]!.step.key, status };
}
