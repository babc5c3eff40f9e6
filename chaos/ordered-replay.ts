/**
 * The allowed end of an execution whose course matters for it: in which order its steps ended. The log of transitions gives the
 * order, commit by commit; the oracle of the property tests gives the end.
 *
 * For definitions with races, where the first ends decide who loses, and with compensations, which undo the latest completion
 * first.
 */
import type { StepFact, Verdict } from '../tests/support/core/facts.ts';
import { Oracle } from '../tests/support/core/oracle.ts';
import { Performance } from '../tests/support/core/scripts.ts';
import type { Behaviour } from './behaviour.ts';
import type { DrawnDefinition } from './definitions.ts';

/** Ends of one commit: keys of steps, or the mark of a stop. */
export type LoggedCommit = readonly string[];

/** The mark of the commit that took a stop. */
export const STOP = '(stop)';

export interface Course {
  readonly definition: DrawnDefinition;
  /** By key, of steps and of compensations. */
  readonly behaviours: ReadonlyMap<string, Behaviour>;
  /** By key, the statuses that were found. */
  readonly found: ReadonlyMap<string, string>;
  readonly commits: readonly LoggedCommit[];
  /** The step that its error names; null: none. */
  readonly errorStep: string | null;
  /** Whether the execution ended by a cancel. */
  readonly isCancelled: boolean;
  /** Whether the steps that were cancelled ran until then: while they have time to end, nothing is undone yet. */
  readonly cancelledRan: boolean;
}

export interface Replayed {
  readonly verdict: Verdict;
  /** Events at a time at which the oracle knows nothing of them. */
  readonly outOfOrder: readonly string[];
}

/** Plays the ends of the steps in their order. */
export function replayInOrder(course: Course): Replayed {
  const play = new Play(course);
  const outOfOrder: string[] = [];
  for (const commit of course.commits) {
    const left = new Set(commit);
    for (let next = play.next(left); next !== null; next = play.next(left)) {
      left.delete(next);
      play.tell(next);
    }
    for (const key of left) if (play.mustHaveEnded(key)) outOfOrder.push(key);
    play.nextCommit();
  }
  if (course.isCancelled) play.cancel();
  return { verdict: play.verdict, outOfOrder };
}

const ENDED_BY_ITSELF = new Set(['completed', 'failed', 'skipped']);

/** An oracle with what it was told. */
class Play {
  readonly #course: Course;
  readonly #oracle: Oracle;
  readonly #performances = new Map<string, Performance>();
  /** Keys and commits in their order. */
  readonly #told: (string | null)[] = [];

  constructor(course: Course) {
    this.#course = course;
    this.#oracle = new Oracle(course.definition.template);
    this.#oracle.tell({ fact: 'begin' });
    this.#claim();
  }

  get verdict(): Verdict {
    return this.#oracle.verdict;
  }

  nextCommit(): void {
    this.#told.push(null);
    this.#oracle.nextCommit();
  }

  cancel(): void {
    this.#oracle.tell({ fact: 'cancel' });
  }

  /** Returns what may have come next of those of one commit; null: nothing more. */
  next(left: ReadonlySet<string>): string | null {
    const possible = [...left].filter((key) => key === STOP || this.verdict.steps[key] === 'running');
    if (possible.length < 2) return possible[0] ?? null;
    return possible.find((key) => this.#with(key).#agrees()) ?? possible[0]!;
  }

  /** Returns a play that is one end further. */
  #with(next: string): Play {
    const play = new Play(this.#course);
    for (const told of [...this.#told, next]) {
      if (told === null) play.nextCommit();
      else play.tell(told);
    }
    return play;
  }

  /** Steps that were skipped with their inputs have no end of their own. */
  mustHaveEnded(key: string): boolean {
    return key !== STOP && this.#course.found.get(key) !== 'skipped';
  }

  /** Whether no step that ended by itself is cancelled, and no other failure is the first. */
  #agrees(): boolean {
    const { steps, error } = this.verdict;
    const { found, errorStep } = this.#course;
    if (error !== null && errorStep !== null && error !== errorStep) return false;
    return [...found].every(([key, status]) => !(ENDED_BY_ITSELF.has(status) && steps[key] === 'cancelled'));
  }

  tell(next: string): void {
    this.#told.push(next);
    if (next === STOP) this.#oracle.tell({ fact: 'stop' });
    else this.#end(next);
    this.#claim();
  }

  /** A step that ended by itself has been claimed before: it may have run when its execution began to wind down. */
  #claim(): void {
    const { found, cancelledRan } = this.#course;
    for (let again = true; again; ) {
      again = false;
      for (const [key, status] of Object.entries(this.verdict.steps)) {
        const end = found.get(key) ?? '';
        const endedByItself = ENDED_BY_ITSELF.has(end);
        const hasRun = endedByItself || (cancelledRan && end === 'cancelled');
        if (status !== 'queued' || !hasRun || !this.#oracle.tell({ fact: 'claimed', key })) continue;
        if (endedByItself) this.#perform(key);
        again = true;
      }
    }
  }

  /** To the last attempt, unless it failed in an earlier one. */
  #perform(key: string): void {
    const performance = this.#performanceOf(key);
    const endedEarly = this.#wasBroken(key);
    for (
      let fact = performance.next(key);
      !endedEarly && !this.#isEnd(key, fact);
      fact = performance.next(key)
    ) {
      performance.advance(fact);
      this.#oracle.tell(fact);
      this.#oracle.tell({ fact: 'resumed', key });
      this.#oracle.tell({ fact: 'retry due', key });
      this.#oracle.tell({ fact: 'claimed', key });
    }
  }

  #isEnd(key: string, fact: StepFact): boolean {
    if (fact.fact === 'parked') return false;
    return fact.fact !== 'failed' || !fact.retryable || this.#isLastAttempt(key);
  }

  #isLastAttempt(key: string): boolean {
    return this.verdict.attempts[key]! > this.#retriesOf(key);
  }

  #retriesOf(key: string): number {
    const { steps } = this.#course.definition.template;
    const own =
      steps.find((step) => step.key === key) ??
      steps.find(({ compensation }) => compensation?.key === key)!.compensation!;
    return own.retry.limit;
  }

  /** Whether a step, and no compensation, failed although its handler would have completed in the end. */
  #wasBroken(key: string): boolean {
    const { behaviours, found, definition } = this.#course;
    const { result } = behaviours.get(key)!;
    return (
      definition.traits.has(key) && found.get(key) === 'failed' && result !== 'failed' && result !== 'broken'
    );
  }

  #end(key: string): void {
    const { stopRequested, execution } = this.verdict;
    // A handler that is told to end may fail, and gets no further attempt.
    if (this.#wasBroken(key) && (stopRequested || execution === 'compensating')) {
      this.#oracle.tell({ fact: 'failed', key, retryable: false, begun: true });
      return;
    }
    const performance = this.#performanceOf(key);
    const fact = performance.next(key);
    performance.advance(fact);
    this.#oracle.tell(fact);
  }

  #performanceOf(key: string): Performance {
    const known = this.#performances.get(key);
    if (known !== undefined) return known;
    const { behaviours, definition } = this.#course;
    const kind = definition.traits.get(key)?.kind;
    const made = new Performance(behaviours.get(key)!, kind === 'route' || kind === 'switch');
    this.#performances.set(key, made);
    return made;
  }
}
