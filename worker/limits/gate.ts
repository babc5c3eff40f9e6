/**
 * The gate for ready steps with limits: their guard and keys are evaluated, they take their turn for a place, and with
 * the place reserved they ask the database for a start. A step that is held back gives its place to the next at once.
 *
 * Held steps stay `queued` with their ticket. They ask again when a step with the same key ends here, when another
 * engine reports such an end, when their rate's window is over, and at the latest after a second.
 *
 * Not here: the decision (core/limits/step-limit.ts, db/step-limit.ts), the capacity (dispatcher.ts).
 *
 * Invariant 1: a step is passed on to be claimed only after it was granted; the claim's own commit checks it.
 * Invariant 2: a place that was taken to ask stays with its step or is released.
 */
import { freesSlot } from '../../core/limits/freed.ts';
import type { Loaded } from '../../door/actor.ts';
import type { ReservedStep } from '../../door/capacity.ts';
import type { CommitSubscriber } from '../../door/commit-subscriber.ts';
import type { DecidedUnit } from '../../door/unit.ts';
import { Periodic } from '../../process/periodic.ts';
import type { Admission } from '../admission.ts';
import { LimitAsker } from './asker.ts';
import type { LimitEvaluation } from './evaluation.ts';
import type { Answer, StepLimits } from './grants.ts';
import { type LimitGroup, LimitGroups } from './group.ts';
import { LimitedSteps } from './held-steps.ts';
import { LimitedStep } from './limited-step.ts';
import type { Gate, Turns } from './turns.ts';

export interface LimitGateOptions {
  readonly limits: StepLimits;
  readonly evaluation: LimitEvaluation;
  readonly turns: Turns;
  /** Ready steps or free places have changed. */
  wake(): void;
  onError(error: unknown): void;
}

const INTERVAL_MS = 1_000;
const FORGET_EVERY_MS = 600_000;
const FORGET_FIRST_MS = 5_000;
/** A grant is requested again after this time: the database keeps it a little longer. */
const LONGEST_GRANT_MS = 2_000;
/** Windows that end later are noticed by the check once a second. */
const LONGEST_WAIT_MS = 60_000;
/** Least time between two checks after reports of other engines. */
const NEWS_GAP_MS = 50;
/** Steps kept in memory; those beyond it have their tickets and come back through the queue. */
const MAX_STEPS = 50_000;
/** A held step's ticket comes back after a second, and later when there are many. */
const TICKET_MS = 1_000;
const TICKET_MS_PER_HELD = 3;
const LONGEST_TICKET_MS = 30_000;

export class LimitGate implements CommitSubscriber, Gate {
  readonly #options: LimitGateOptions;
  readonly #asker: LimitAsker;
  readonly #steps = new LimitedSteps();
  readonly #groups = new LimitGroups();
  readonly #probing: Periodic;
  readonly #forgetting: Periodic;
  #timers = new Set<ReturnType<typeof setTimeout>>();
  #hasNews = false;
  #open = true;

  constructor(options: LimitGateOptions) {
    this.#options = options;
    this.#asker = new LimitAsker(options.limits, {
      answered: (steps, answers) => this.#answeredAll(steps, answers),
      onError: options.onError,
    });
    const { limits, onError } = options;
    this.#probing = new Periodic({ tick: async () => this.tick(), intervalMs: INTERVAL_MS, onError });
    this.#forgetting = new Periodic({ tick: () => limits.forget(), intervalMs: FORGET_EVERY_MS, onError });
  }

  /** Checks once a second, and forgets unused limits every ten minutes, until closed. */
  start(): void {
    this.#probing.start();
    // A start has other things to do.
    this.#forgetting.start(FORGET_FIRST_MS);
  }

  /** Begins nothing more. An unreachable database delays no shutdown, so a round on its way is not waited for. */
  close(): void {
    this.#open = false;
    void this.#probing.close();
    void this.#forgetting.close();
    for (const timer of this.#timers) clearTimeout(timer);
  }

  /**
   * Returns milliseconds until the ticket of a step with limits comes back: until then only this process can start
   * it.
   */
  ticketDelayMs(): number {
    const ms = Math.min(LONGEST_TICKET_MS, TICKET_MS + this.#steps.size * TICKET_MS_PER_HELD);
    return Math.round(ms * (0.75 + Math.random() / 2));
  }

  /** Takes a ready step with limits: of a commit in flight, of an execution just loaded, or skipped before. */
  offer({ loaded, slot }: ReservedStep): void {
    const { id } = loaded.view.steps[slot]!;
    const known = this.#steps.get(id);
    if (known !== undefined) this.#offeredAgain(known, loaded);
    else if (this.#steps.size < MAX_STEPS) this.#steps.add(new LimitedStep({ loaded, slot }));
  }

  /**
   * Returns what to do with a step whose turn has come, with a slot: `start` it, let it `ask` with the slot, or
   * `drop` it.
   */
  popped(step: LimitedStep, canRun: boolean): 'start' | 'ask' | 'drop' {
    step.lined = false;
    if (step.removed || !canRun || !step.isQueued) {
      this.#remove(step);
      return 'drop';
    }
    if (step.stage === 'granted' && performance.now() < step.expiresAt) return 'start';
    this.#ask(step);
    return 'ask';
  }

  /** The step's claim is committed: returns its admission. Null: it did not go through this gate. */
  begun(stepId: string): Admission | null {
    const step = this.#steps.get(stepId);
    if (step === undefined) return null;
    this.#groups.running.begun(stepId, limitIds(step));
    this.#remove(step);
    return step.admission;
  }

  /** After commits: takes the steps that became ready, and frees the limits of those that ended. */
  committed(units: readonly DecidedUnit[]): void {
    for (const { loaded, plan } of units) {
      if (!loaded.version.hasLimits) continue;
      const fresh = this.#steps.takeFresh(loaded.actor.key);
      if (fresh.length > 0) this.#evaluateAll(fresh);
      for (const [slot, change] of plan.steps)
        if (freesSlot(plan.view.graph.steps[slot]!, change)) this.#ended(change.state.id);
      if (plan.end !== null) for (const step of this.#steps.of(loaded.actor.key)) this.#remove(step);
    }
  }

  /** Another engine reports the end of steps with limits. */
  endedElsewhere(): void {
    if (this.#groups.size === 0 || this.#hasNews) return;
    this.#hasNews = true;
    this.#after(NEWS_GAP_MS, () => {
      this.#hasNews = false;
      this.#probeAll();
    });
  }

  /** Checks every held step once. */
  tick(): void {
    for (const step of this.#steps.all()) if (step.isForgotten) this.#remove(step);
    this.#groups.running.keep((stepId) => this.#options.turns.runs(stepId));
    this.#probeAll();
  }

  /** Its execution was loaded again, or it was skipped during a commit. */
  #offeredAgain(step: LimitedStep, loaded: Loaded): void {
    const isSame = step.loaded === loaded;
    step.loaded = loaded;
    if (step.stage !== 'granted' || step.lined) return;
    // A failed claim may have lost its grant: it is requested again.
    if (!isSame) step.stage = 'ready';
    this.#enqueue(step);
  }

  async #evaluateAll(steps: readonly LimitedStep[]): Promise<void> {
    await Promise.all(steps.map((step) => this.#evaluate(step)));
    this.#options.wake();
  }

  async #evaluate(step: LimitedStep): Promise<void> {
    try {
      if (step.isQueued && !step.removed) {
        step.stage = 'evaluating';
        await this.#options.evaluation.evaluate(step);
        if (!step.removed) this.#lineUp(step);
        return;
      }
    } catch (error) {
      this.#options.onError(error);
    }
    // Its ticket brings it back if it is still queued.
    this.#remove(step);
  }

  #lineUp(step: LimitedStep): void {
    const ids = limitIds(step);
    if (ids.length === 0) this.#enqueue(step);
    else this.#pump(this.#groups.join(step, ids));
  }

  #pump(group: LimitGroup): void {
    for (let step = group.next(); step !== null; step = group.next()) {
      if (step.isQueued) this.#enqueue(step);
      else this.#remove(step);
    }
  }

  #enqueue(step: LimitedStep): void {
    if (step.stage !== 'granted') step.stage = 'ready';
    step.lined = true;
    this.#options.turns.enqueue(step);
  }

  #ask(step: LimitedStep): void {
    step.stage = 'asking';
    step.askedAt = this.#groups.of(step)?.changes ?? 0;
    this.#asker.ask(step);
  }

  #answeredAll(steps: readonly LimitedStep[], answers: readonly Answer[]): void {
    for (const [at, step] of steps.entries()) this.#answered(step, answers[at]!);
    const groups = new Set(steps.map((step) => this.#groups.of(step)));
    for (const group of groups) if (group !== null) this.#pump(group);
    this.#options.wake();
  }

  #answered(step: LimitedStep, answer: Answer): void {
    const { turns } = this.#options;
    const group = this.#groups.of(step);
    if (step.removed || answer.verdict === 'gone') {
      turns.release(step);
      this.#remove(step);
    } else if (answer.verdict === 'granted') {
      group?.unblock();
      step.stage = 'granted';
      step.expiresAt = performance.now() + Math.min(answer.leftMs ?? LONGEST_GRANT_MS, LONGEST_GRANT_MS);
      step.lined = true;
      turns.grant(step);
    } else {
      turns.release(step);
      this.#heldBack(step, group, answer.retryAfterMs);
    }
  }

  #heldBack(step: LimitedStep, group: LimitGroup | null, retryAfterMs: number | null): void {
    // A step without limits was held back by an error: its ticket brings it back.
    if (group === null) return void this.#remove(step);
    group.outstanding -= 1;
    group.block(step.askedAt);
    group.hold(step);
    if (retryAfterMs === null || retryAfterMs > LONGEST_WAIT_MS || group.isAwaited) return;
    group.isAwaited = true;
    this.#after(Math.ceil(retryAfterMs) + 1, () => {
      group.isAwaited = false;
      this.#probe(group, group.limit);
    });
  }

  #ended(stepId: string): void {
    const ids = this.#groups.running.ended(stepId);
    const groups = ids === null ? this.#groups.all() : this.#groups.sharing(ids);
    for (const group of groups) this.#probe(group, 1);
  }

  #probeAll(): void {
    for (const group of this.#groups.all()) this.#probe(group, 1);
  }

  #probe(group: LimitGroup, count: number): void {
    group.probe(count);
    if (group.heldCount === 0) return;
    this.#pump(group);
    this.#options.wake();
  }

  #remove(step: LimitedStep): void {
    if (step.removed) return;
    step.removed = true;
    this.#steps.delete(step);
    const group = this.#groups.of(step);
    if (group === null) return;
    if (step.stage === 'held') group.forgetHeld();
    else group.outstanding -= 1;
    if (group.isEmpty) this.#groups.delete(group);
    else this.#pump(group);
  }

  #after(ms: number, run: () => void): void {
    if (!this.#open) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      run();
    }, ms);
    this.#timers.add(timer);
  }
}

function limitIds({ concurrency, rate }: LimitedStep): string[] {
  return [concurrency, rate].filter((limit) => limit !== null).map(({ id }) => id);
}
