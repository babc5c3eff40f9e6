/**
 * What an execution must look like, worked out the slow and obvious way from the contract's text.
 *
 * It is the other opinion the core is held against, so it shares no code with it: it reads a template and
 * the facts that happened, in order, and after every fact works out every edge and every join again from
 * nothing until no pass over the steps changes anything. Not for production: it is quadratic on purpose.
 *
 * 1. A fact about a step that its status does not allow (late, duplicate) is no news.
 * 2. Nothing is news once the execution is final.
 */
import type { Template, TemplateStep } from '../../../core/template.ts';
import type { ExecutionFact, Fact, OracleStatus, StepFact, Verdict } from './facts.ts';
import {
  type Account,
  edgeAfter,
  FRESH,
  isHandled,
  joinAfter,
  statusAfter,
  type Undo,
} from './oracle-rules.ts';

/** The status a step must have for the fact to be news. */
const EXPECTED: Record<StepFact['fact'], OracleStatus> = {
  claimed: 'queued',
  completed: 'running',
  failed: 'running',
  guarded: 'running',
  parked: 'running',
  resumed: 'waiting',
  'scopes failed': 'waiting',
  'scopes over': 'failed',
  'scopes undone': 'absent',
  'timed out': 'waiting',
  answered: 'waiting',
  'task claimed': 'waiting',
  'worker lost': 'waiting',
  refused: 'waiting',
  'retry due': 'retrying',
  released: 'running',
  lost: 'running',
};

const FINAL_STEP = new Set<OracleStatus>(['completed', 'failed', 'skipped', 'cancelled']);
const OPEN_EXECUTION = new Set(['pending', 'running', 'paused', 'compensating']);

export interface OracleOptions {
  /** Keys of the steps in whose scopes something can be undone. */
  readonly undoneInside?: ReadonlySet<string>;
  /** A scope is undone when its execution is, never by its own end. */
  readonly isScope?: boolean;
}

/** Something to undo: a step by its compensation, or the scopes of a step. */
interface ToUndo {
  readonly key: string;
  readonly of: string;
  readonly position: number;
  readonly isScopes: boolean;
}

/** The books of one execution, `pending` until the oracle is told of its beginning. */
export class Oracle {
  readonly verdict: Verdict = {
    execution: 'pending',
    stopRequested: false,
    undoing: null,
    error: null,
    steps: {},
    edges: {},
    attempts: {},
  };
  readonly #template: Template;
  readonly #accounts: Record<string, Account> = {};
  /** Keys of the joins that have started, as far as they cancel losers. */
  readonly #races = new Set<string>();
  /** Compensations by their key. */
  readonly #undo = new Map<string, Undo>();
  /** The status that follows when all is undone. */
  #due: Verdict['execution'] = 'failed';
  #commit = 0;
  #pausedFrom: Verdict['execution'] = 'running';
  readonly #undoneInside: ReadonlySet<string>;
  readonly #isScope: boolean;
  /** Steps whose scopes are undone, or being undone. */
  readonly #begun = new Set<string>();
  /** Steps that have failed and whose scopes have time to end. */
  readonly #winding = new Set<string>();

  constructor(template: Template, { undoneInside = new Set<string>(), isScope = false }: OracleOptions = {}) {
    this.#template = template;
    this.#undoneInside = undoneInside;
    this.#isScope = isScope;
    for (const [position, { key: of, compensation: step }] of template.steps.entries())
      if (step !== null) this.#undo.set(step.key, { of, position, step });
    const undo = [...this.#undo.values()].map(({ step }) => step);
    for (const { key, edges } of [...template.steps, ...undo]) {
      this.#accounts[key] = { ...FRESH };
      this.verdict.steps[key] = 'absent';
      this.verdict.edges[key] = edges.map(() => 'open');
      this.verdict.attempts[key] = 0;
    }
  }

  /** Facts that are told from now on are of the next commit. */
  nextCommit(): void {
    this.#commit += 1;
  }

  /** Returns whether the fact was news. */
  tell(fact: Fact): boolean {
    if (fact.fact === 'undo') return this.#undoScope();
    if (!OPEN_EXECUTION.has(this.verdict.execution)) return false;
    return 'key' in fact ? this.#tellStep(fact) : this.#tellExecution(fact.fact);
  }

  /** A step that waits for scopes has some open, or has none for now. */
  tellHolds(key: string, holds: boolean): void {
    const account = this.#accounts[key]!;
    account.holds = holds;
    if (holds) account.opened = true;
  }

  #undoScope(): boolean {
    const { verdict } = this;
    if (!this.#isScope || OPEN_EXECUTION.has(verdict.execution)) return false;
    this.#due = verdict.execution;
    verdict.execution = 'compensating';
    this.#workOutCompensating();
    return true;
  }

  #tellExecution(fact: ExecutionFact['fact']): boolean {
    const { verdict } = this;
    const from = verdict.execution;
    if (fact === 'cancel') this.#end('cancelled');
    else if (from === 'compensating') return fact === 'stop overdue' && this.#endGrace();
    else if (fact === 'time out') this.#conclude('timed_out', true);
    else if (fact === 'reject' && from === 'pending') this.#end('failed');
    else if (fact === 'begin' && from === 'pending') this.#move('running');
    else if (fact === 'pause' && (from === 'running' || from === 'pending')) return this.#pause();
    else if (fact === 'resume' && from === 'paused') return this.#resume();
    else if (fact === 'stop' && !verdict.stopRequested) this.#stop();
    else if (fact === 'stop overdue' && verdict.stopRequested) this.#conclude('cancelled', false);
    else return false;
    return true;
  }

  #stop(): void {
    this.verdict.stopRequested = true;
    if (this.#hasToUndo()) this.#conclude('cancelled', true);
    else this.#workOut();
  }

  #pause(): boolean {
    if (this.verdict.stopRequested) return false;
    this.#pausedFrom = this.verdict.execution;
    this.verdict.execution = 'paused';
    return true;
  }

  #resume(): boolean {
    if (this.verdict.stopRequested) return false;
    this.verdict.execution = this.#pausedFrom;
    return true;
  }

  #move(execution: 'running'): void {
    this.verdict.execution = execution;
    this.#workOut();
  }

  #tellStep(fact: StepFact): boolean {
    const { verdict } = this;
    if (fact.fact === 'scopes undone') {
      if (verdict.undoing !== fact.key) return false;
      verdict.undoing = null;
      this.#workOut();
      return true;
    }
    const status = verdict.steps[fact.key];
    // A timeout runs on while a step that was parked waits for its turn.
    const isTimedOut = fact.fact === 'timed out' && status === 'queued' && this.#accounts[fact.key]!.goesOn;
    if (status !== EXPECTED[fact.fact] && !isTimedOut) return false;
    const begins = this.#undo.has(fact.key) ? 'compensating' : 'running';
    const isClaim = fact.fact === 'claimed' || fact.fact === 'task claimed';
    if (isClaim && verdict.execution !== begins) return false;
    const account = this.#accounts[fact.key]!;
    this.#book(account, fact);
    verdict.attempts[fact.key] = account.attempts;
    this.#workOut();
    return true;
  }

  #book(account: Account, fact: StepFact): void {
    switch (fact.fact) {
      case 'claimed':
        if (!account.goesOn) account.attempts += 1;
        account.place = 'running';
        return;
      case 'completed':
        account.end = 'completed';
        account.routes = fact.routes;
        account.commit = this.#commit;
        return;
      case 'guarded':
        account.attempts -= 1;
        account.end = 'skipped';
        account.commit = this.#commit;
        return;
      case 'failed':
        if (!fact.begun && !account.goesOn) account.attempts -= 1;
        this.#fail(account, fact.key, fact.retryable);
        return;
      case 'answered':
        account.end = 'completed';
        account.commit = this.#commit;
        return;
      case 'task claimed':
        return;
      case 'worker lost':
        if (fact.losses < 2) account.attempts += 1;
        else this.#fail(account, fact.key, true);
        return;
      case 'refused':
      case 'timed out':
      case 'scopes failed':
        this.#fail(
          account,
          fact.key,
          fact.fact === 'timed out' || fact.retryable,
          'open' in fact && fact.open,
        );
        return;
      case 'scopes over':
        this.#winding.delete(fact.key);
        return;
      case 'parked':
        account.place = 'waiting';
        account.goesOn = true;
        account.holds = fact.holds ?? false;
        if (fact.opens && !this.#windsDown(fact.key)) account.opened = true;
        return;
      case 'resumed':
        account.holds = false;
        account.place = 'queued';
        return;
      case 'retry due':
        account.place = 'queued';
        return;
      case 'released':
        if (!account.goesOn) account.attempts -= 1;
        account.place = 'queued';
        return;
      case 'lost':
        // What was parked is still on record, so the new attempt goes on from there and counts; a stop grants none.
        if (account.goesOn && !this.#windsDown(fact.key)) account.attempts += 1;
        account.place = 'queued';
    }
  }

  /** Retries are counted apart from attempts; a stop grants none. */
  #fail(account: Account, key: string, retryable: boolean, isOpen = false): void {
    const undo = this.#undo.get(key);
    const { retry } = undo?.step ?? this.#template.steps.find((step) => step.key === key)!;
    account.goesOn = false;
    account.holds = false;
    if (retryable && account.retries < retry.limit && !this.#windsDown(key)) {
      account.retries += 1;
      account.place = 'retrying';
      return;
    }
    const endsAll =
      undo === undefined &&
      !this.#windsDown(key) &&
      !isHandled(this.#template, key) &&
      this.#template.onFailure === 'stop';
    if (isOpen && endsAll && this.#hasToUndo()) this.#winding.add(key);
    account.end = 'failed';
    account.commit = this.#commit;
    if (undo === undefined && !this.#windsDown(key) && !isHandled(this.#template, key))
      this.verdict.error ??= key;
  }

  /** A step gets no further attempt, unless it undoes another one. */
  #windsDown(key: string): boolean {
    const { stopRequested, execution } = this.verdict;
    return !this.#undo.has(key) && (stopRequested || execution === 'compensating');
  }

  #workOut(): void {
    const { verdict } = this;
    const template = this.#template;
    if (verdict.execution === 'compensating') this.#workOutCompensating();
    else if (verdict.stopRequested) this.#workOutStopping();
    else if (verdict.error !== null && template.onFailure === 'stop') {
      verdict.steps[verdict.error] = 'failed';
      this.#conclude('failed', true);
    } else {
      this.#passAll();
      if (this.#cancelLosers()) this.#passAll();
      const over = template.steps.every(({ key }) => FINAL_STEP.has(verdict.steps[key]!));
      if (over) this.#conclude(verdict.error === null ? 'completed' : 'failed', false);
    }
  }

  #passAll(): void {
    for (const { key } of this.#template.steps) this.verdict.steps[key] = 'absent';
    while (this.#pass());
  }

  /** Section 14.21: ends the losers of the races that are decided now. Returns whether there are any. */
  #cancelLosers(): boolean {
    const { steps, edges } = this.verdict;
    const decided = this.#template.steps.filter(
      ({ key, ...step }) =>
        step.cancelsLosers &&
        !this.#races.has(key) &&
        steps[key] !== 'cancelled' &&
        joinAfter({ key, ...step }, edges[key]!) === 'starts',
    );
    for (const { key } of decided) this.#races.add(key);
    let found = false;
    for (let again = true; again; ) {
      again = false;
      for (const { key: join } of decided)
        for (const { key } of this.#template.steps) {
          if (!this.#loses(key, join)) continue;
          this.#accounts[key]!.end = 'cancelled';
          this.#accounts[key]!.commit = this.#commit;
          steps[key] = 'cancelled';
          again = true;
          found = true;
        }
    }
    return found;
  }

  /** Upstream of the join, not final, and every edge leads to a final step, another loser or the join. */
  #loses(key: string, join: string): boolean {
    if (FINAL_STEP.has(this.verdict.steps[key]!) || !this.#isUpstream(key, join)) return false;
    return this.#consumers(key).every(
      (to) => to === join || FINAL_STEP.has(this.verdict.steps[to]!) || this.#loses(to, join),
    );
  }

  #consumers(key: string): string[] {
    const { steps } = this.#template;
    return steps.filter(({ edges }) => edges.some(({ from }) => from === key)).map((step) => step.key);
  }

  #isUpstream(key: string, join: string): boolean {
    return this.#consumers(key).some((to) => to === join || this.#isUpstream(to, join));
  }

  /** One look at every step; returns whether anything was found that the last look had not. */
  #pass(): boolean {
    const { verdict } = this;
    let found = false;
    for (const step of this.#template.steps) {
      this.#lookAtEdges(step);
      const status = statusAfter(step, verdict.edges[step.key]!, this.#accounts[step.key]!);
      if (status !== verdict.steps[step.key]) found = true;
      verdict.steps[step.key] = status;
    }
    return found;
  }

  #lookAtEdges({ key, edges }: TemplateStep): void {
    const { verdict } = this;
    const accounts = this.#accounts;
    verdict.edges[key] = edges.map(({ from, conditions }) =>
      edgeAfter(verdict.steps[from]!, conditions, accounts[from]!),
    );
  }

  /** What runs may still tell its result; nothing else moves, and the last to go closes the execution. */
  #workOutStopping(): void {
    const { steps } = this.verdict;
    this.#letRun();
    if (this.#template.steps.every(({ key }) => FINAL_STEP.has(steps[key]!)))
      this.#conclude('cancelled', false);
  }

  #letRun(): void {
    const { steps } = this.verdict;
    const template = this.#template;
    for (const { key } of template.steps) {
      if (FINAL_STEP.has(steps[key]!)) continue;
      const { end, place, holds } = this.#accounts[key]!;
      const goesOn = (place === 'running' || (place === 'waiting' && holds)) && steps[key] === place;
      steps[key] = end ?? (goesOn ? place : 'cancelled');
      if (steps[key] === 'cancelled') this.#cutOff(key);
    }
    for (const step of template.steps) this.#lookAtEdges(step);
  }

  #cutOff(key: string): void {
    this.#accounts[key]!.commit = this.#commit;
    this.#accounts[key]!.cutOff = true;
  }

  /** Section 14.22: where a failure, timeout or stop finds something to undo, that comes first. */
  #conclude(execution: Verdict['execution'], grace: boolean): void {
    if (execution === 'completed' || !this.#hasToUndo()) {
      this.#end(execution);
      return;
    }
    this.verdict.execution = 'compensating';
    this.#due = execution;
    if (grace) this.#letRun();
    else this.#cancelOpen();
    this.#workOutCompensating();
  }

  /** Steps that run come to their end, then one thing after the other is undone. */
  #workOutCompensating(): void {
    const { steps } = this.verdict;
    this.#letRun();
    for (const key of this.#undo.keys()) {
      const { end, place } = this.#accounts[key]!;
      if (steps[key] !== 'absent' && steps[key] !== 'cancelled') steps[key] = end ?? place;
    }
    const all = [...this.#undo.keys(), ...this.#template.steps.map(({ key }) => key)];
    if (all.some((key) => steps[key] !== 'absent' && !FINAL_STEP.has(steps[key]!))) return;
    if (this.#winding.size > 0 || this.verdict.undoing !== null) return;
    const next = this.#nextToUndo();
    if (next === null) this.#end(this.#due);
    else if (next.isScopes) {
      this.#begun.add(next.of);
      this.verdict.undoing = next.of;
    } else steps[next.key] = 'queued';
  }

  /** Scopes that have begun count before anybody has looked what is in them. */
  #hasToUndo(): boolean {
    if (this.#isScope) return false;
    return this.#nextToUndo() !== null || this.#scopesToUndo().length > 0;
  }

  #scopesToUndo(): ToUndo[] {
    const all = this.#template.steps.map(({ key }, position) => ({ key, of: key, position, isScopes: true }));
    return all.filter(
      ({ key }) => this.#undoneInside.has(key) && this.#accounts[key]!.opened && !this.#begun.has(key),
    );
  }

  /** Section 14.23: the latest end first, before all others a holder that was cut off; its scopes come after it. */
  #nextToUndo(): ToUndo | null {
    const steps = [...this.#undo]
      .filter(
        ([key, { of }]) => this.verdict.steps[key] === 'absent' && this.#accounts[of]!.end === 'completed',
      )
      .map(([key, { of, position }]): ToUndo => ({ key, of, position, isScopes: false }));
    const scopes = this.#scopesToUndo().filter(({ key }) => FINAL_STEP.has(this.verdict.steps[key]!));
    const rank = ({ of, position, isScopes }: ToUndo): readonly number[] => {
      const { commit, cutOff } = this.#accounts[of]!;
      return [isScopes && cutOff ? 1 : 0, commit, position, isScopes ? 0 : 1];
    };
    return [...steps, ...scopes].sort((a, b) => later(rank(a), rank(b)))[0] ?? null;
  }

  #endGrace(): boolean {
    const { steps } = this.verdict;
    const isOver = this.#template.steps.every(({ key }) => FINAL_STEP.has(steps[key]!));
    if (isOver && this.#winding.size === 0) return false;
    this.#winding.clear();
    this.#cancelOpen();
    this.#workOutCompensating();
    return true;
  }

  #cancelOpen(): void {
    const { steps } = this.verdict;
    for (const { key } of this.#template.steps) {
      if (FINAL_STEP.has(steps[key]!)) continue;
      steps[key] = 'cancelled';
      this.#cutOff(key);
    }
    for (const step of this.#template.steps) this.#lookAtEdges(step);
  }

  #end(execution: Verdict['execution']): void {
    const { steps } = this.verdict;
    this.verdict.execution = execution;
    this.verdict.undoing = null;
    this.#winding.clear();
    this.#cancelOpen();
    for (const key of this.#undo.keys())
      if (steps[key] !== 'absent' && !FINAL_STEP.has(steps[key]!)) steps[key] = 'cancelled';
  }
}

/** Compares two ranks: the higher one comes first. */
function later(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((value, place) => value !== b[place]);
  return at === -1 ? 0 : b[at]! - a[at]!;
}
