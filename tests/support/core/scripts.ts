/**
 * What the handlers of a test execution do, by step, and what must come of it.
 */
import fc from 'fast-check';
import type { Template } from '../../../core/template.ts';
import type { StepFact, Verdict } from './facts.ts';
import { Oracle } from './oracle.ts';
import { ROUTES } from './route-names.ts';

export interface StepScript {
  /** How it ends when it gets that far; `broken`: an expression fails before the handler begins. */
  result: 'completed' | 'failed' | 'guarded' | 'broken';
  /** Routes that a switch names. */
  routes: readonly string[];
  /** Attempts that fail retryably before the result. */
  failures: number;
  /** Times that it is parked before the result. */
  parks: number;
}

export const COMPLETES: StepScript = { result: 'completed', routes: [], failures: 0, parks: 0 };

/** One script for each of the first `count` steps. */
export function scripts(count: number): fc.Arbitrary<StepScript[]> {
  const script = fc.record({
    result: fc.oneof(
      { weight: 7, arbitrary: fc.constant('completed' as const) },
      { weight: 3, arbitrary: fc.constant('failed' as const) },
      { weight: 1, arbitrary: fc.constant('guarded' as const) },
      { weight: 1, arbitrary: fc.constant('broken' as const) },
    ),
    routes: fc.subarray([...ROUTES]),
    failures: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(3) }),
    parks: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(2) }),
  });
  return fc.array(script, { minLength: count, maxLength: count });
}

/** How far a step's handler has come with its script. */
export class Performance {
  readonly #script: StepScript;
  readonly #isSwitch: boolean;
  #failures: number;
  #parks: number;

  constructor(script: StepScript, isSwitch: boolean) {
    this.#script = script;
    this.#isSwitch = isSwitch;
    this.#failures = script.failures;
    this.#parks = script.parks;
  }

  /** What the running attempt tells; a step that was guarded or broken tells so in its first. */
  next(key: string): StepFact {
    const { result, routes } = this.#script;
    if (result === 'guarded') return { fact: 'guarded', key };
    if (result === 'broken') return { fact: 'failed', key, retryable: false, begun: false };
    if (this.#parks > 0) return { fact: 'parked', key };
    if (this.#failures > 0) return { fact: 'failed', key, retryable: true, begun: true };
    if (result === 'failed') return { fact: 'failed', key, retryable: false, begun: true };
    return { fact: 'completed', key, routes: this.#isSwitch ? routes : null };
  }

  /** The fact was taken: the script goes on behind it. */
  advance(fact: StepFact): void {
    if (fact.fact === 'parked') this.#parks -= 1;
    if (fact.fact === 'failed') this.#failures -= 1;
  }
}

export function performances(template: Template, scripts: readonly StepScript[]): Map<string, Performance> {
  return new Map(
    template.steps.flatMap(({ key, type, compensation }, at) => {
      const script = scripts[at] ?? COMPLETES;
      const own = [key, new Performance(script, type === 'switch')] as const;
      if (compensation === null) return [own];
      // A compensation has no guard.
      const result = script.result === 'guarded' ? 'completed' : script.result;
      return [own, [compensation.key, new Performance({ ...script, result }, false)] as const];
    }),
  );
}

/** The end of an execution in which one step at a time runs to its end, in definition order, without the core. */
export function playOut(template: Template, scripts: readonly StepScript[]): Verdict {
  const oracle = new Oracle(template);
  const acting = performances(template, scripts);
  oracle.tell({ fact: 'begin' });
  for (;;) {
    const ready = template.steps.find(({ key }) => oracle.verdict.steps[key] === 'queued');
    if (ready === undefined) return oracle.verdict;
    playStep(oracle, ready.key, acting.get(ready.key)!);
  }
}

function playStep(oracle: Oracle, key: string, performance: Performance): void {
  oracle.tell({ fact: 'claimed', key });
  const fact = performance.next(key);
  performance.advance(fact);
  oracle.tell(fact);
  oracle.tell({ fact: 'resumed', key });
  oracle.tell({ fact: 'retry due', key });
}
