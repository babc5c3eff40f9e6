/**
 * Timers of this process: a step parked for a short time wakes on the millisecond, without waiting for the next poll
 * of the queue.
 *
 * Every timer is also stored as a delayed job: a timer lost here only fires later.
 */
import type { Event } from '../core/event.ts';
import type { ViewKey } from '../core/view.ts';
import type { CommitSubscriber } from './commit-subscriber.ts';
import type { DecidedUnit } from './unit.ts';

/** Timers further away are left to the queue. */
const LONGEST_MS = 60_000;

export class Timers implements CommitSubscriber {
  readonly #post: (key: ViewKey, event: Event) => void;
  readonly #stopGraceMs: number;
  readonly #armed = new Set<ReturnType<typeof setTimeout>>();
  #open = true;

  constructor(post: (key: ViewKey, event: Event) => void, stopGraceMs: number) {
    this.#post = post;
    this.#stopGraceMs = stopGraceMs;
  }

  committed(units: readonly DecidedUnit[]): void {
    for (const unit of units) this.#arm(unit);
  }

  #arm({ actor, plan }: DecidedUnit): void {
    if (plan.end !== null) return;
    for (const [slot, { timer, state, deadlineMs }] of plan.steps) {
      const { retries, id: stepId } = state;
      if (deadlineMs !== null)
        this.#after(deadlineMs, actor.key, () => ({
          type: 'step_time_out',
          slot,
          stepId,
          retries,
          random: Math.random(),
        }));
      if (timer === null) continue;
      const { attempt, sequence } = state;
      const { purpose } = timer;
      this.#after(timer.afterMs, actor.key, () => ({
        type: 'wake',
        slot,
        stepId,
        attempt,
        sequence,
        purpose,
        random: Math.random(),
      }));
    }
    const { timeoutMs } = plan.view.graph;
    if (plan.begun && timeoutMs !== null)
      this.#after(timeoutMs, actor.key, () => ({ type: 'time_out', timeoutMs }));
    if (plan.stopping || plan.compensating)
      this.#after(this.#stopGraceMs, actor.key, () => ({ type: 'stop_overdue' }));
  }

  close(): void {
    this.#open = false;
    for (const timer of this.#armed) clearTimeout(timer);
    this.#armed.clear();
  }

  #after(ms: number, key: ViewKey, event: () => Event): void {
    if (!this.#open || ms > LONGEST_MS) return;
    const timer = setTimeout(() => {
      this.#armed.delete(timer);
      this.#post(key, event());
    }, ms);
    this.#armed.add(timer);
  }
}
