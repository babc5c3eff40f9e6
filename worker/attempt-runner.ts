/**
 * The pipeline of an attempt: gather its data, evaluate its guard, interpolate its parameters, run its handler. Each
 * stage gives the work for the next one, or the outcome that ends the attempt.
 *
 * A step with native expressions and with all payloads in memory runs through without a single await.
 *
 * Not here: the outcome's event (attempt-end.ts).
 */
import type { Claim } from '../core/event.ts';
import type { ReceivedInput } from '../core/graph.ts';
import type { Json, JsonObject } from '../core/json/json.ts';
import { next } from '../core/next.ts';
import { type HandlerPlace, handlerPlace } from '../core/takeover.ts';
import type { Db } from '../db/connection/client.ts';
import { readResumption } from '../db/step-payload.ts';
import type { Loaded } from '../door/actor.ts';
import type { ReservedStep } from '../door/capacity.ts';
import { gatherScope, type ScopeParts } from '../payload/expression-scope.ts';
import type { ScopeSource } from '../payload/scope-source.ts';
import { turns } from '../process/turn-share.ts';
import { durationOf } from '../steps/measure.ts';
import { type StepContext, StepFailure } from '../steps/step-type.ts';
import type { Log } from '../telemetry/log.ts';
import type { CompiledStep, TemplateVersion } from '../template/version.ts';
import type { Admission } from './admission.ts';
import { Attempt } from './attempt.ts';
import { AttemptCalls, type AttemptCallsOptions, callOf } from './attempt-calls.ts';
import { AttemptContext } from './attempt-context.ts';
import type { AttemptEnd, SteppedAttempt } from './attempt-end.ts';
import { failedBy, failedByGuard } from './failure.ts';
import type { StepHosts } from './hosts/hosts.ts';
import { type Outcome, outcomeOf, proceed, type Staged } from './outcome.ts';
import { HeldScopeAccess } from './scopes/scope-access.ts';

export interface AttemptRunnerOptions extends ScopeSource, AttemptCallsOptions {
  readonly db: Db;
  readonly log: Log;
  readonly end: AttemptEnd;
  /** Largest output of a step. */
  readonly maxOutputBytes: number;
  /** Custom step types: their handlers run in hosts. */
  readonly userTypes: ReadonlySet<string>;
  readonly hosts: Pick<StepHosts, 'run' | 'areUsable'>;
  /** Returns the result of the limit gate's checks; null: the step did not go through the gate. */
  admission(stepId: string): Admission | null;
}

/** An attempt that has just been started. */
interface Started extends SteppedAttempt {
  readonly loaded: Loaded;
}

/** With its data. */
interface Gathered extends Started {
  readonly scope: ScopeParts;
  readonly resumed: StepContext['resumed'];
  /** The guard was passed before: the step has failed or waited since. */
  readonly hasPassed: boolean;
}

/** With its parameters. */
interface Interpolated {
  readonly work: Gathered;
  readonly params: JsonObject;
}

const SKIPPED: Outcome = { kind: 'skipped' };
const CLAIM_LOST: Outcome = { kind: 'lost', event: 'release' };

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
    const compiled = loaded.step(slot);
    const crashes = loaded.view.steps[slot]?.crashes ?? 0;
    const { name: template, version } = loaded.version;
    const execution = { id: loaded.id, template, version };
    const attempt = new Attempt(execution, { view: loaded.actor.key, slot }, stepId, claim, crashes, done);
    attempt.undoes = compiled.undoes !== null;
    attempt.keyNumber = loaded.view.steps[slot]?.keyNumber ?? 0;
    attempt.mayLose = loaded.view.graph.mayLose?.[slot] === true;
    const started = { loaded, attempt, compiled };
    if (compiled.limits !== null) attempt.admission = this.#options.admission(stepId);
    const { timeoutMs } = compiled.step;
    if (timeoutMs !== null) attempt.armTimeout(timeoutMs, (reason) => this.#fail(started, reason));
    this.#begin(started);
    return attempt;
  }

  /** Written without a callback where there is nothing to wait for: it runs for each attempt. */
  #begin(started: Started): void {
    let gathered: Staged<Gathered>;
    try {
      gathered = this.#gather(started);
    } catch (thrown) {
      this.#fail(started, thrown);
      return;
    }
    if (!(gathered instanceof Promise)) this.#takeTurn(started, gathered);
    else
      gathered.then(
        (work) => this.#takeTurn(started, work),
        (thrown) => this.#fail(started, thrown),
      );
  }

  /** A commit may begin a hundred steps, and each may read and write a megabyte. */
  #takeTurn(started: Started, gathered: Gathered | Outcome): void {
    if (turns.isFree) this.#run(started, gathered);
    else turns.do(() => this.#run(started, gathered));
  }

  #run(started: Started, gathered: Gathered | Outcome): void {
    const { end } = this.#options;
    let outcome: Outcome | Promise<Outcome>;
    try {
      outcome = this.#runStages(gathered);
    } catch (thrown) {
      this.#fail(started, thrown);
      return;
    }
    if (!(outcome instanceof Promise)) end.end(started, outcome);
    else
      outcome.then(
        (done) => end.end(started, done),
        (thrown) => this.#fail(started, thrown),
      );
  }

  #fail(started: Started, thrown: unknown): void {
    this.#options.end.end(started, failedBy(thrown, started.attempt));
  }

  #runStages(gathered: Gathered | Outcome): Outcome | Promise<Outcome> {
    const passed = proceed<Gathered, Gathered>(gathered, this.#checkGuard);
    const interpolated = proceed<Gathered, Interpolated>(passed, this.#interpolate);
    return proceed<Interpolated, never>(interpolated, this.#handle);
  }

  #gather(started: Started): Staged<Gathered> {
    const { loaded, attempt, compiled } = started;
    if (compiled.undoes !== null) return this.#gatherUndone(started, compiled.undoes);
    const received = loaded.received.get(attempt.slot);
    const parked = loaded.view.steps[attempt.slot]?.parked ?? false;
    if (parked || received === undefined) return this.#gatherStored(started);
    return this.#gatherPayloads(started, received, null);
  }

  /** The join was decided by another process or before a restart, or the step was parked. */
  async #gatherStored(
    started: Started,
    inputs: readonly ReceivedInput[] | null = null,
  ): Promise<Gathered | Outcome> {
    const { stepId, claim } = started.attempt;
    const stored = await readResumption(this.#options.db, stepId, claim);
    // The claim was lost while this process was frozen.
    if (stored === null) return CLAIM_LOST;
    const { received, parkedMs, parkedState, timeoutMs } = stored;
    if (timeoutMs !== null) started.attempt.limitTimeout(timeoutMs);
    const resumed = parkedMs === null ? null : { state: parkedState as Json, parkedMs };
    return this.#gatherPayloads(started, inputs ?? received, resumed);
  }

  /** A compensation sees the scope of the step that it undoes, and its output. */
  async #gatherUndone(started: Started, undoes: number): Promise<Gathered | Outcome> {
    const { loaded, compiled } = started;
    const { db } = this.#options;
    const received = compiled.usesInputs
      ? await readResumption(db, loaded.view.steps[undoes]!.id, null)
      : null;
    const gathered = await this.#gatherStored(started, received?.received ?? []);
    if ('kind' in gathered) return gathered;
    const compensates = gathered.scope.steps[loaded.view.graph.steps[undoes]!.key]?.output ?? null;
    return { ...gathered, scope: { ...gathered.scope, compensates } };
  }

  #gatherPayloads(
    { loaded, attempt, compiled }: Started,
    received: readonly ReceivedInput[],
    resumed: StepContext['resumed'],
  ): Gathered | Promise<Gathered> {
    const slot = compiled.undoes ?? attempt.slot;
    const scope = gatherScope(this.#options, loaded, loaded.view, slot, received, compiled);
    const hasPassed = resumed !== null || loaded.view.steps[attempt.slot]!.retries > 0;
    return next(scope, (gathered) => ({ loaded, attempt, compiled, scope: gathered, resumed, hasPassed }));
  }

  /**
   * Evaluated once, before the first attempt; an error in it fails the step without an attempt. Evaluated again when
   * that attempt was lost with its process, because the result was lost too.
   */
  readonly #checkGuard = (work: Gathered): Staged<Gathered> => {
    const { compiled, scope, attempt, hasPassed } = work;
    if (attempt.admission !== null) return admitted(work, attempt.admission);
    if (compiled.when === null || hasPassed) return work;
    const failed = (thrown: unknown) => failedByGuard(thrown, attempt);
    try {
      const passes = this.#options.evaluator.evaluateCondition(compiled.when, scope, callOf(work));
      if (passes instanceof Promise) return passes.then((passed) => (passed ? work : SKIPPED), failed);
      return passes ? work : SKIPPED;
    } catch (thrown) {
      return failed(thrown);
    }
  };

  /** The step's time starts here: a slow evaluation of the guard cannot make a skipped step fail. */
  readonly #interpolate = (work: Gathered): Staged<Interpolated> => {
    const { compiled, scope, attempt } = work;
    attempt.resumeTimeouts();
    if (compiled.params === null) return { work, params: {} };
    if (compiled.validateParams === null) return { work, params: compiled.step.with! };
    const params = this.#options.evaluator.evaluate(compiled.params, scope, callOf(work));
    return next(params, (value) => {
      const checked = checkParams(compiled, value as JsonObject);
      this.#armEvaluated(work, checked);
      return { work, params: checked };
    });
  };

  /** A timeout that an expression gave. One that is written out is the step's already. */
  #armEvaluated(work: Gathered, params: JsonObject): void {
    const { attempt, compiled } = work;
    const { timeoutIn } = compiled.type;
    const timeout = timeoutIn === undefined ? undefined : params[timeoutIn];
    if (timeout === undefined || compiled.step.timeoutMs !== null) return;
    const timeoutMs = durationOf(timeout as string | number, timeoutIn!, 1);
    attempt.armTimeout(timeoutMs, (reason) => this.#fail(work, reason));
    attempt.resumeTimeouts();
  }

  readonly #handle = ({ work, params }: Interpolated): Outcome | Promise<Outcome> => {
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
      scopes: compiled.type.holds === undefined ? null : this.#scopesOf(work),
      calls: new AttemptCalls(this.#options, work),
    });
    // A handler that holds scopes or starts a child only says which, and puts together what came of them.
    const { holds, waitsFor } = compiled.type;
    const isBrief = holds !== undefined || waitsFor === 'child';
    const place = isBrief ? 'engine' : this.#place(compiled.step.type, attempt.crashes);
    return place === 'engine'
      ? next(compiled.type.run(context), outcomeOf)
      : this.#handleInHost(work, context, place === 'own host');
  };

  #scopesOf({ loaded, attempt: { slot, stepId } }: Gathered): HeldScopeAccess {
    const { db, maxOutputBytes } = this.#options;
    return new HeldScopeAccess(db, stepId, loaded.view.steps[slot]?.held ?? null, maxOutputBytes);
  }

  #handleInHost(work: Gathered, context: AttemptContext, alone: boolean): Promise<Outcome> {
    const { attempt, compiled } = work;
    const { type, heartbeatTimeoutMs } = compiled.step;
    if (heartbeatTimeoutMs !== null)
      attempt.armHeartbeat(heartbeatTimeoutMs, (reason) => this.#fail(work, reason));
    const dynamic = compiled.validateParams !== null;
    const { crashes } = attempt;
    const workspace = work.loaded.workspaceId ?? '';
    const call = { workspace, type, attempt, context, dynamic, crashes, alone, heartbeatTimeoutMs };
    return this.#options.hosts.run(call);
  }
}

/** The gate has evaluated the guard before it asked for a start: guards are evaluated once. */
function admitted(work: Gathered, admission: Admission): Gathered | Outcome {
  if (typeof admission === 'object') return failedByGuard(admission.error, work.attempt);
  return admission === 'pass' ? work : SKIPPED;
}

function checkParams(compiled: CompiledStep, params: JsonObject): JsonObject {
  const problems = compiled.validateParams!(params);
  if (problems.length === 0) return params;
  const [first] = problems;
  const where = first!.pointer === '' ? 'The parameters' : `Parameter ${first!.pointer}`;
  throw new StepFailure('invalid_params', `${where}: ${first!.message}`, {
    details: problems.map(({ pointer, message }) => ({ pointer, message })),
  });
}
