/**
 * An output of an execution that takes time. The execution's actor stays busy meanwhile, so an event that ends or stops
 * the execution interrupts it: a cancel never waits for an expression.
 */
import type { Event } from '../core/event.ts';

const INTERRUPTING: ReadonlySet<Event['type']> = new Set(['cancel', 'time_out', 'stop']);

/** Returns whether the event is not to wait for an execution's output. */
export function interruptsOutput({ type }: Event): boolean {
  return INTERRUPTING.has(type);
}

/** @typeParam M events with their senders */
export class OutputEvaluation<M> {
  /** The events that the decision had taken, which waits for the output. */
  readonly mails: readonly M[];
  #controller: AbortController | null = null;
  #isInterrupted = false;

  constructor(mails: readonly M[]) {
    this.mails = mails;
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#isInterrupted) this.#controller.abort();
    return this.#controller.signal;
  }

  /** Whether its result is of no use any more. */
  get isInterrupted(): boolean {
    return this.#isInterrupted;
  }

  interrupt(): void {
    this.#isInterrupted = true;
    this.#controller?.abort();
  }
}
