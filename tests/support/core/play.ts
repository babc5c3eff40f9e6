/**
 * One execution played by hand, step by step, for tests that read like sentences.
 *
 * It speaks of steps by key, claims as `engine-1`, and gives every event the claim that holds the step now.
 */
import type { AnswerResult, Claim, Event } from '../../../core/event.ts';
import { compileGraph } from '../../../core/graph.ts';
import type { Plan } from '../../../core/plan.ts';
import type { StepStatus } from '../../../core/status.ts';
import type { Template } from '../../../core/template.ts';
import { transition } from '../../../core/transition.ts';
import { type ExecutionView, emptyView, type StepState } from '../../../core/view.ts';

export class Play {
  readonly view: ExecutionView;
  #ids = 0;

  constructor(template: Template) {
    this.view = emptyView('execution', compileGraph(template));
  }

  /** A play whose roots are ready. */
  static begun(template: Template): Play {
    const play = new Play(template);
    play.send({ type: 'begin' });
    return play;
  }

  send(...events: Event[]): Plan {
    return transition(this.view, events, () => `id-${this.#ids++}`);
  }

  at(key: string): number {
    return this.view.graph.slots.get(key)!;
  }

  state(key: string): StepState {
    return this.view.steps[this.at(key)]!;
  }

  holding(key: string): Claim {
    const { attempt, owner } = this.state(key);
    return { attempt, owner: owner ?? '' };
  }

  claim(...keys: string[]): Plan {
    return this.send(
      ...keys.map((key) => ({ type: 'claim' as const, slot: this.at(key), owner: 'engine-1' })),
    );
  }

  completed(key: string, routes: readonly string[] | null = null): Event {
    const claim = this.holding(key);
    return { type: 'complete', slot: this.at(key), claim, output: { json: '1' }, routes };
  }

  failed(key: string, how: { retryable?: boolean; begun?: boolean; retryAfterMs?: number } = {}): Event {
    const { retryable = false, begun = true, retryAfterMs = null } = how;
    const error = { code: 'boom', message: `${key} failed`, details: null };
    const slot = this.at(key);
    const claim = this.holding(key);
    return { type: 'fail', slot, claim, error, retryable, begun, retryAfterMs, random: 0 };
  }

  parked(key: string, timeoutMs: number | null = null): Event {
    const claim = this.holding(key);
    return {
      type: 'park',
      slot: this.at(key),
      claim,
      forMs: 60_000,
      state: { until: 1 },
      timeoutMs,
      waitingFor: null,
    };
  }

  timedOut(key: string, { retries } = this.state(key)): Event {
    return { type: 'step_time_out', slot: this.at(key), retries, random: 0 };
  }

  woken(key: string, purpose: 'resume' | 'timeout' = 'resume'): Event {
    const { attempt, sequence } = this.state(key);
    return { type: 'wake', slot: this.at(key), attempt, sequence, purpose, random: 0 };
  }

  /** The answer of the outside to the present wait. */
  answered(key: string, result: AnswerResult = { output: { json: '1' } }): Event {
    const { attempt, sequence } = this.state(key);
    return { type: 'answer', slot: this.at(key), attempt, sequence, id: 'answer', result, random: 0 };
  }

  /** Claims the step and completes it. */
  complete(key: string, routes: readonly string[] | null = null): Plan {
    this.claim(key);
    return this.send(this.completed(key, routes));
  }

  /** Claims the step and fails it for good. */
  fail(key: string): Plan {
    this.claim(key);
    return this.send(this.failed(key));
  }

  /** Claims the step and skips it, as a falsy guard does. */
  skip(key: string): Plan {
    this.claim(key);
    return this.send({ type: 'skip', slot: this.at(key), claim: this.holding(key) });
  }

  keys(slots: readonly number[]): string[] {
    return slots.map((slot) => this.view.graph.steps[slot]!.key);
  }

  /** The statuses of the steps that have a row. */
  get steps(): Record<string, StepStatus> {
    const states = this.view.steps.filter((state) => state !== undefined);
    return Object.fromEntries(states.map(({ slot, status }) => [this.keys([slot])[0]!, status]));
  }
}
