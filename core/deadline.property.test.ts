/**
 * Timeouts on virtual time: whatever happens to a step in between, an attempt that was parked ends when its time is over
 * and not before.
 *
 * Its time begins when it is claimed and runs on while it is parked, waits for its turn, is given back or is taken over.
 */
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { cases } from '../tests/support/core/cases.ts';
import { buildTemplate } from '../tests/support/core/graphs.ts';
import { Play } from '../tests/support/core/play.ts';
import type { Plan } from './plan.ts';

const TIMEOUT_MS = 100;

type Act =
  | { readonly do: 'park'; readonly forMs: number }
  | { readonly do: 'release' | 'rescue' | 'displace' | 'fail' | 'complete' };

/** Something that happens to the step after a while. */
interface Move {
  readonly afterMs: number;
  readonly act: Act;
}

const ACT: fc.Arbitrary<Act> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('park' as const), forMs: fc.nat(80) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom('release' as const, 'rescue', 'displace') }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('fail' as const, 'complete') }) },
);
const MOVES = fc.array(fc.record({ afterMs: fc.integer({ min: 0, max: 60 }), act: ACT }), {
  minLength: 1,
  maxLength: 30,
});

interface Timer {
  readonly at: number;
  readonly fire: () => Plan;
}

/** One step with a timeout and retries, the timers that its plans set, and a clock. */
class Clockwork {
  readonly play = Play.begun(buildTemplate({ a: { retry: { limit: 3, delayMs: 0 } } }));
  now = 0;
  /** The end of the attempt's time as its process counts it; null: no process runs it. */
  #countdownEnd: number | null = null;
  #timers: Timer[] = [];
  /** By the oracle: the end of the time of an attempt that was parked; null: it was not. */
  expected: number | null = null;
  /** Of the attempt that was claimed last and not parked yet. */
  #claimedAt = 0;

  get status(): string {
    return this.play.state('a').status;
  }

  /** Lets time pass: timers that are due fire in their order, and a running attempt is timed out by its process. */
  pass(ms: number): void {
    const until = this.now + ms;
    for (;;) {
      const due = this.#timers.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at);
      const countdown = this.status === 'running' ? this.#countdownEnd! : Number.POSITIVE_INFINITY;
      const [first] = due;
      if (countdown <= Math.min(until, first?.at ?? Number.POSITIVE_INFINITY)) {
        this.now = countdown;
        this.#failed();
      } else if (first !== undefined) {
        this.now = first.at;
        this.#timers.splice(this.#timers.indexOf(first), 1);
        this.#take(first.fire());
      } else break;
    }
    this.now = until;
  }

  claim(): void {
    const { parked, hasDeadline } = this.play.state('a');
    this.play.claim('a');
    if (!parked) this.#claimedAt = this.now;
    // As a process arms it: with what the row says is left, or with the whole.
    this.#countdownEnd = hasDeadline ? this.expected! : this.now + TIMEOUT_MS;
  }

  act(act: Act): void {
    const { play } = this;
    const claim = play.holding('a');
    const slot = play.at('a');
    if (act.do === 'park') {
      this.expected ??= this.#claimedAt + TIMEOUT_MS;
      const timeoutMs = this.#countdownEnd! - this.now;
      this.#take(
        play.send({ type: 'park', slot, claim, forMs: act.forMs, state: null, timeoutMs, waitingFor: null }),
      );
    } else if (act.do === 'complete') this.#take(play.send(play.completed('a')));
    else if (act.do === 'fail') this.#failed();
    else this.#take(play.send({ type: act.do, slot, claim }));
  }

  #failed(): void {
    this.#take(this.play.send(this.play.failed('a', { retryable: true })));
  }

  #take(plan: Plan): void {
    for (const { timer, deadlineMs, state } of plan.steps.values()) {
      const { attempt, sequence, retries, slot } = state;
      const { purpose = 'resume' } = timer ?? {};
      if (timer !== null)
        this.#at(timer.afterMs, () =>
          this.play.send({ type: 'wake', slot, attempt, sequence, purpose, random: 0 }),
        );
      if (deadlineMs !== null)
        this.#at(deadlineMs, () => this.play.send({ type: 'step_time_out', slot, retries, random: 0 }));
    }
    if (!this.play.state('a').hasDeadline) this.expected = null;
  }

  #at(afterMs: number, fire: () => Plan): void {
    this.#timers.push({ at: this.now + afterMs, fire });
  }
}

test('an attempt that was parked ends when its time is over, and not before', () => {
  fc.assert(
    fc.property(MOVES, fc.array(fc.nat(60), { minLength: 30, maxLength: 30 }), (moves: Move[], turns) => {
      const clockwork = new Clockwork();
      for (const [at, { afterMs, act }] of moves.entries()) {
        clockwork.pass(turns[at]!);
        if (clockwork.status === 'queued') clockwork.claim();
        const before = clockwork.expected;
        const { retries } = clockwork.play.state('a');
        clockwork.pass(afterMs);
        const after = clockwork.play.state('a');
        // Ended in time...
        if (before !== null && before <= clockwork.now)
          expect(after.retries > retries || after.status === 'failed').toBe(true);
        // ...and not too early.
        if (before !== null && before > clockwork.now) expect(after.retries).toBe(retries);
        if (after.status === 'running') clockwork.act(act);
        if (['completed', 'failed'].includes(clockwork.status)) return;
      }
    }),
    cases(2_000),
  );
});
