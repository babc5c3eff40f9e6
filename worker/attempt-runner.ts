/**
 * The pipeline of an attempt: gathers its data, evaluates its guard, interpolates its parameters, runs its
 * handler, and hands the outcome to the door.
 *
 * A step with native expressions and with all payloads in memory runs through without a single await.
 *
 * Invariant: exactly one outcome per attempt reaches the door, and none when the execution is over.
 */
import type { Claim, Event } from '../core/event.ts';
import type { ReceivedInput } from '../core/graph.ts';
import type { Json, JsonObject } from '../core/json/json.ts';
import { next } from '../core/next.ts';
import { type HandlerPlace, handlerPlace } from '../core/takeover.ts';
import type { Db } from '../db/connection/client.ts';
import { readResumption } from '../db/step-payload.ts';
import type { Loaded } from '../door/actor.ts';
import type { ReservedStep } from '../door/capacity.ts';
import { compileValue } from '../expression/compiled-value.ts';
import type { Evaluator } from '../expression/evaluator.ts';
import { gatherScope, type ScopeParts, type ScopeSource } from '../payload/expression-scope.ts';
import type { OutputStore } from '../payload/output-store.ts';
import { InputsTooLarge } from '../payload/payload-reader.ts';
import { Parked, Routed, type StepContext, type StepLog } from '../steps/step-type.ts';
import type { Log } from '../telemetry/log.ts';
import type { CompiledStep, TemplateVersion } from '../template/version.ts';
import type { Admission } from './admission.ts';
import { Attempt } from './attempt.ts';
import { AttemptContext } from './attempt-context.ts';
import type { StepHosts } from './hosts/hosts.ts';
import { HostedOutput, LostAttempt } from './hosts/run.ts';
import {
  callOptions,
  checkParams,
  explained,
  GuardFailure,
  ParkOutcome,
  parkOutcome,
  passesGate,
  pauseOf,
  storedError,
  storedPark,
  toFailure,
} from './outcome.ts';
import type { OwnedScript } from './script.ts';
import { logThrown } from './thrown.ts';

export interface AttemptRunnerOptions extends ScopeSource {
  readonly db: Db;
  readonly evaluator: Evaluator;
  readonly store: OutputStore;
  readonly log: Log;
  post(executionId: string, event: Event): void;
  runScript(code: string, input: Json, options: OwnedScript, log: StepLog): Promise<Json>;
  /** Custom step types: their handlers run in hosts. */
  readonly userTypes: ReadonlySet<string>;
  readonly hosts: Pick<StepHosts, 'run' | 'areUsable'>;
  /** Milliseconds until an instant by the database's clock; negative when it has passed. */
  msUntil(instant: string): Promise<number>;
  /** Returns the result of the limit gate's checks; null: the step did not go through the gate. */
  admission(stepId: string): Admission | null;
  /** A handler has ended, with any outcome. */
  finished(type: string, durationMs: number): void;
  /** A handler returned a result for an attempt that was over. */
  refused(): void;
}

/** The data gathered for an attempt before its handler runs. */
interface Work {
  readonly loaded: Loaded;
  readonly attempt: Attempt;
  readonly compiled: CompiledStep;
  readonly scope: ScopeParts;
  readonly resumed: StepContext['resumed'];
  /** The guard was passed before: the step has failed or waited since. */
  readonly hasPassed: boolean;
}

const SKIPPED = Symbol('skipped');

function optionsOf({ attempt, loaded }: Work) {
  return callOptions(attempt, loaded.workspaceId);
}

export class AttemptRunner {
  readonly #options: AttemptRunnerOptions;

  constructor(options: AttemptRunnerOptions) {
    this.#options = options;
  }

  canRunAll({ hasFaults }: TemplateVersion): boolean {
    return !hasFaults && this.#options.hosts.areUsable;
  }

  canRun({ loaded, slot }: ReservedStep): boolean {
    if (this.canRunAll(loaded.version)) return true;
    const { fault, step } = loaded.step(slot);
    if (fault !== null) return false;
    const crashes = loaded.view.steps[slot]?.crashes ?? 0;
    return this.#options.hosts.areUsable || this.#place(step.type, crashes) === 'engine';
  }

  #place(type: string, crashes: number): HandlerPlace {
    return handlerPlace(!this.#options.userTypes.has(type), crashes);
  }

  start(
    { loaded, slot }: ReservedStep,
    stepId: string,
    claim: Claim,
    done: (attempt: Attempt) => void,
  ): Attempt {
    const crashes = loaded.view.steps[slot]?.crashes ?? 0;
    const { name: template, version } = loaded.version;
    const execution = { id: loaded.id, template, version };
    const attempt = new Attempt(execution, slot, stepId, claim, crashes, done);
    const compiled = loaded.step(slot);
    if (compiled.limits !== null) attempt.admission = this.#options.admission(stepId);
    const { timeoutMs } = compiled.step;
    if (timeoutMs !== null) attempt.armTimeout(timeoutMs, (reason) => this.#fail(compiled, attempt, reason));
    try {
      const result = this.#run(loaded, attempt, compiled);
      if (!(result instanceof Promise)) this.#succeed(compiled, attempt, result);
      else {
        result.then(
          (value) => this.#succeed(compiled, attempt, value),
          (error) => this.#fail(compiled, attempt, error),
        );
      }
    } catch (error) {
      this.#fail(compiled, attempt, error);
    }
    return attempt;
  }

  #run(loaded: Loaded, attempt: Attempt, compiled: CompiledStep): unknown {
    const gathered = this.#gather(loaded, attempt, compiled);
    return next(gathered, (work) =>
      work === null
        ? new LostAttempt('release')
        : next(this.#passesGuard(work), (passes) => (passes ? this.#interpolateAndHandle(work) : SKIPPED)),
    );
  }

  /** Null: the claim was lost meanwhile. */
  #gather(loaded: Loaded, attempt: Attempt, compiled: CompiledStep): Work | Promise<Work | null> {
    const received = loaded.actor.received.get(attempt.slot);
    const parked = loaded.view.steps[attempt.slot]?.parked ?? false;
    if (parked || received === undefined) return this.#gatherStored(loaded, attempt, compiled);
    return this.#gatherPayloads(loaded, attempt, compiled, received, null);
  }

  /** The join was decided by another process or before a restart, or the step was parked. */
  async #gatherStored(loaded: Loaded, attempt: Attempt, compiled: CompiledStep): Promise<Work | null> {
    const { stepId, claim } = attempt;
    const stored = await readResumption(this.#options.db, stepId, claim);
    // The claim was lost while this process was frozen.
    if (stored === null) return null;
    const { received, parkedMs, parkedState, timeoutMs } = stored;
    if (timeoutMs !== null) attempt.limitTimeout(timeoutMs);
    const resumed = parkedMs === null ? null : { state: parkedState as Json, parkedMs };
    return this.#gatherPayloads(loaded, attempt, compiled, received, resumed);
  }

  #gatherPayloads(
    loaded: Loaded,
    attempt: Attempt,
    compiled: CompiledStep,
    received: readonly ReceivedInput[],
    resumed: StepContext['resumed'],
  ): Work | Promise<Work> {
    const scope = gatherScope(this.#options, loaded, loaded.view, attempt.slot, received, compiled);
    const hasPassed = resumed !== null || loaded.view.steps[attempt.slot]!.retries > 0;
    return next(scope, (gathered) => ({ loaded, attempt, compiled, scope: gathered, resumed, hasPassed }));
  }

  /**
   * Evaluated once, before the first attempt; an error in it fails the step without an attempt. Evaluated again when
   * that attempt was lost with its process, because the result was lost too.
   */
  #passesGuard(work: Work): unknown {
    const { compiled, scope, attempt, hasPassed } = work;
    if (attempt.admission !== null) return passesGate(attempt.admission);
    if (compiled.when === null || hasPassed) return true;
    const failed = (error: unknown): never => {
      throw new GuardFailure(error);
    };
    try {
      const passes = this.#options.evaluator.evaluateCondition(compiled.when, scope, optionsOf(work));
      return passes instanceof Promise ? passes.catch(failed) : passes;
    } catch (error) {
      return failed(error);
    }
  }

  /** The step's time starts here: a slow evaluation of the guard cannot make a skipped step fail. */
  #interpolateAndHandle(work: Work): unknown {
    const { compiled, scope, attempt } = work;
    attempt.resumeTimeouts();
    if (compiled.params === null) return this.#handle(work, {});
    if (compiled.validateParams === null) return this.#handle(work, compiled.step.with!);
    const params = this.#options.evaluator.evaluate(compiled.params, scope, optionsOf(work));
    return next(params, (value) => this.#handle(work, checkParams(compiled, value as JsonObject)));
  }

  #handle(work: Work, params: JsonObject): unknown {
    const { attempt, compiled, scope, resumed } = work;
    if (attempt.abortReason !== null) throw attempt.abortReason;
    const context = new AttemptContext({
      attempt,
      params,
      hasParams: compiled.params !== null,
      inputs: scope.inputs,
      key: compiled.step.key,
      resumed,
      secrets: this.#options.secrets,
      log: this.#options.log,
      evaluate: (value) => this.#evaluateDeferred(work, value),
      runScript: (code, input, options, log) =>
        this.#options.runScript(code, input, { ...options, workspace: work.loaded.workspaceId }, log),
    });
    return next(this.#call(attempt, compiled, context), (result) =>
      result instanceof Parked ? parkOutcome(attempt, result, this.#options.msUntil) : result,
    );
  }

  #call(attempt: Attempt, compiled: CompiledStep, context: AttemptContext): unknown {
    const { type, heartbeatTimeoutMs } = compiled.step;
    const { crashes } = attempt;
    const place = this.#place(type, crashes);
    if (place === 'engine') return compiled.type.run(context);
    if (heartbeatTimeoutMs !== null)
      attempt.armHeartbeat(heartbeatTimeoutMs, (reason) => this.#fail(compiled, attempt, reason));
    const dynamic = compiled.validateParams !== null;
    const alone = place === 'own host';
    return this.#options.hosts.run({ type, attempt, context, dynamic, crashes, alone, heartbeatTimeoutMs });
  }

  #evaluateDeferred(work: Work, value: Json): Json | Promise<Json> {
    const { compiled, scope } = work;
    const text = JSON.stringify(value);
    let expression = compiled.deferred?.get(text);
    if (expression === undefined) {
      expression = compileValue(value);
      compiled.deferred ??= new Map();
      compiled.deferred.set(text, expression);
    }
    return this.#options.evaluator.evaluate(expression, scope, optionsOf(work)) as Json | Promise<Json>;
  }

  #succeed(compiled: CompiledStep, attempt: Attempt, result: unknown): void {
    const { slot, claim } = attempt;
    if (attempt.isDone) {
      this.#options.refused();
      return;
    }
    let event: Event;
    try {
      event = this.#outcome(slot, claim, result);
    } catch (error) {
      this.#fail(compiled, attempt, explained(error, compiled));
      return;
    }
    this.#hand(compiled, attempt, event);
  }

  #outcome(slot: number, claim: Claim, result: unknown): Event {
    if (result === SKIPPED) return { type: 'skip', slot, claim };
    if (result instanceof ParkOutcome) return storedPark(this.#options.store, result);
    if (result instanceof LostAttempt) return { type: result.event, slot, claim };
    if (result instanceof HostedOutput)
      return { type: 'complete', slot, claim, output: result.payload, routes: result.routes };
    const routes = result instanceof Routed ? this.#options.store.routes(result.routes) : null;
    const output = this.#options.store.payload(result instanceof Routed ? result.output : result);
    return { type: 'complete', slot, claim, output, routes };
  }

  #fail(compiled: CompiledStep, attempt: Attempt, error: unknown): void {
    const guard = error instanceof GuardFailure;
    const reason = guard ? error.reason : error;
    const failure = toFailure(reason, attempt);
    if (attempt.isDone) {
      // A handler that gave up for the given reason has no result.
      if (failure !== attempt.abortReason) this.#options.refused();
      return;
    }
    logThrown(this.#options.log, compiled.step, attempt, reason);
    const { slot, claim } = attempt;
    this.#hand(compiled, attempt, {
      type: 'fail',
      slot,
      claim,
      error: storedError(this.#options.store, failure),
      retryable: failure.retryable && !guard,
      retryAfterMs: pauseOf(failure.retryAfterMs),
      begun: !guard && !(reason instanceof InputsTooLarge),
      random: Math.random(),
      ranMs: performance.now() - attempt.startedAt,
    });
  }

  #hand(compiled: CompiledStep, attempt: Attempt, event: Event): void {
    if (!attempt.finish()) return;
    this.#options.finished(compiled.step.type, performance.now() - attempt.startedAt);
    this.#options.post(attempt.executionId, event);
  }
}
