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
import type { EdgeCondition, Template, TemplateStep } from '../../../core/template.ts';
import type { ExecutionFact, Fact, OracleEdge, OracleStatus, StepFact, Verdict } from './facts.ts';

/** What a step has told so far; everything else is worked out. */
interface Account {
  /** `cancelled`: it has lost a race. */
  end: 'completed' | 'failed' | 'skipped' | 'cancelled' | null;
  routes: readonly string[] | null;
  place: 'queued' | 'running' | 'waiting' | 'retrying';
  attempts: number;
  retries: number;
  /** The attempt was parked: the next claim goes on with it. */
  goesOn: boolean;
  /** It waits for scopes of its own, which a stop gives time to end. */
  holds: boolean;
}

/** The status a step must have for the fact to be news. */
const EXPECTED: Record<StepFact['fact'], OracleStatus> = {
  claimed: 'queued',
  completed: 'running',
  failed: 'running',
  guarded: 'running',
  parked: 'running',
  resumed: 'waiting',
  'scopes failed': 'waiting',
  'timed out': 'waiting',
  answered: 'waiting',
  refused: 'waiting',
  'retry due': 'retrying',
  released: 'running',
  lost: 'running',
};

const FRESH: Account = {
  end: null,
  routes: null,
  place: 'queued',
  attempts: 0,
  retries: 0,
  goesOn: false,
  holds: false,
};
const FINAL_STEP = new Set<OracleStatus>(['completed', 'failed', 'skipped', 'cancelled']);
const OPEN_EXECUTION = new Set(['pending', 'running', 'paused']);

/** Section 2, one sentence each. */
function edgeAfter(
  producer: OracleStatus,
  conditions: readonly EdgeCondition[],
  { routes, end }: Account,
): OracleEdge {
  if (producer === 'skipped' || end === 'cancelled') return 'dead';
  if (producer !== 'completed' && producer !== 'failed') return 'open';
  const live = conditions.some((condition) => {
    if (condition.on === 'always') return true;
    if (condition.on === 'failure') return producer === 'failed';
    if (producer === 'failed') return false;
    return condition.routes === null || condition.routes.some((route) => routes?.includes(route) === true);
  });
  return live ? 'live' : 'dead';
}

/** The table of section 2. */
function joinAfter(step: TemplateStep, edges: readonly OracleEdge[]): 'starts' | 'is skipped' | 'waits' {
  if (edges.length === 0) return 'starts';
  const live = edges.filter((edge) => edge === 'live').length;
  const open = edges.filter((edge) => edge === 'open').length;
  if (step.join === 'all') {
    if (open > 0) return 'waits';
    return live > 0 ? 'starts' : 'is skipped';
  }
  if (live >= step.join) return 'starts';
  return live + open < step.join ? 'is skipped' : 'waits';
}

function statusAfter(step: TemplateStep, edges: readonly OracleEdge[], account: Account): OracleStatus {
  if (account.end === 'cancelled') return 'cancelled';
  const join = joinAfter(step, edges);
  if (join === 'is skipped') return 'skipped';
  if (join === 'waits') return edges.some((edge) => edge !== 'open') ? 'waiting_inputs' : 'absent';
  return account.end ?? account.place;
}

/** A failure is handled when a `failure` or `always` edge of it is live, whatever the target then does. */
function isHandled(template: Template, key: string): boolean {
  const handles = ({ on }: EdgeCondition): boolean => on === 'failure' || on === 'always';
  return template.steps.some((step) =>
    step.edges.some((edge) => edge.from === key && edge.conditions.some(handles)),
  );
}

/** The books of one execution, `pending` until the oracle is told of its beginning. */
export class Oracle {
  readonly verdict: Verdict = {
    execution: 'pending',
    stopRequested: false,
    error: null,
    steps: {},
    edges: {},
    attempts: {},
  };
  readonly #template: Template;
  readonly #accounts: Record<string, Account> = {};
  /** Keys of the joins that have started, as far as they cancel losers. */
  readonly #races = new Set<string>();

  constructor(template: Template) {
    this.#template = template;
    for (const { key, edges } of template.steps) {
      this.#accounts[key] = { ...FRESH };
      this.verdict.steps[key] = 'absent';
      this.verdict.edges[key] = edges.map(() => 'open');
      this.verdict.attempts[key] = 0;
    }
  }

  /** Returns whether the fact was news. */
  tell(fact: Fact): boolean {
    if (!OPEN_EXECUTION.has(this.verdict.execution)) return false;
    return 'key' in fact ? this.#tellStep(fact) : this.#tellExecution(fact.fact);
  }

  #tellExecution(fact: ExecutionFact['fact']): boolean {
    const { verdict } = this;
    const from = verdict.execution;
    if (fact === 'cancel') this.#end('cancelled');
    else if (fact === 'time out') this.#end('timed_out');
    else if (fact === 'reject' && from === 'pending') this.#end('failed');
    else if (fact === 'begin' && from === 'pending') this.#move('running');
    else if (fact === 'pause' && from === 'running') this.#move('paused');
    else if (fact === 'resume' && from === 'paused') this.#move('running');
    else if (fact === 'stop' && !verdict.stopRequested) this.#stop();
    else if (fact === 'stop overdue' && verdict.stopRequested) this.#end('cancelled');
    else return false;
    return true;
  }

  #stop(): void {
    this.verdict.stopRequested = true;
    this.#workOut();
  }

  #move(execution: 'running' | 'paused'): void {
    this.verdict.execution = execution;
    this.#workOut();
  }

  #tellStep(fact: StepFact): boolean {
    const { verdict } = this;
    const status = verdict.steps[fact.key];
    // A timeout runs on while a step that was parked waits for its turn.
    const isTimedOut = fact.fact === 'timed out' && status === 'queued' && this.#accounts[fact.key]!.goesOn;
    if (status !== EXPECTED[fact.fact] && !isTimedOut) return false;
    if (fact.fact === 'claimed' && verdict.execution !== 'running') return false;
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
        return;
      case 'guarded':
        account.attempts -= 1;
        account.end = 'skipped';
        return;
      case 'failed':
        if (!fact.begun && !account.goesOn) account.attempts -= 1;
        this.#fail(account, fact.key, fact.retryable);
        return;
      case 'answered':
        account.end = 'completed';
        return;
      case 'refused':
      case 'timed out':
      case 'scopes failed':
        this.#fail(account, fact.key, fact.fact === 'timed out' || fact.retryable);
        return;
      case 'parked':
        account.place = 'waiting';
        account.goesOn = true;
        account.holds = fact.holds ?? false;
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
        if (account.goesOn && !this.verdict.stopRequested) account.attempts += 1;
        account.place = 'queued';
    }
  }

  /** Retries are counted apart from attempts; a stop grants none. */
  #fail(account: Account, key: string, retryable: boolean): void {
    const { retry } = this.#template.steps.find((step) => step.key === key)!;
    account.goesOn = false;
    account.holds = false;
    if (retryable && account.retries < retry.limit && !this.verdict.stopRequested) {
      account.retries += 1;
      account.place = 'retrying';
      return;
    }
    account.end = 'failed';
    if (!this.verdict.stopRequested && !isHandled(this.#template, key)) this.verdict.error ??= key;
  }

  #workOut(): void {
    const { verdict } = this;
    const template = this.#template;
    if (verdict.stopRequested) this.#workOutStopping();
    else if (verdict.error !== null && template.onFailure === 'stop') {
      verdict.steps[verdict.error] = 'failed';
      this.#end('failed');
    } else {
      this.#passAll();
      if (this.#cancelLosers()) this.#passAll();
      const over = template.steps.every(({ key }) => FINAL_STEP.has(verdict.steps[key]!));
      if (over) this.#end(verdict.error === null ? 'completed' : 'failed');
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
    const template = this.#template;
    for (const { key } of template.steps) {
      if (FINAL_STEP.has(steps[key]!)) continue;
      const { end, place, holds } = this.#accounts[key]!;
      const goesOn = (place === 'running' || (place === 'waiting' && holds)) && steps[key] === place;
      steps[key] = end ?? (goesOn ? place : 'cancelled');
    }
    for (const step of template.steps) this.#lookAtEdges(step);
    if (template.steps.every(({ key }) => FINAL_STEP.has(steps[key]!))) this.#end('cancelled');
  }

  #end(execution: Verdict['execution']): void {
    const { steps } = this.verdict;
    this.verdict.execution = execution;
    for (const { key } of this.#template.steps) {
      if (!FINAL_STEP.has(steps[key]!)) steps[key] = 'cancelled';
    }
    for (const step of this.#template.steps) this.#lookAtEdges(step);
  }
}
