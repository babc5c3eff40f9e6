/**
 * Two ways to put load on the API: clients that start the next execution when the last was answered, and arrivals at a
 * fixed rate that do not wait.
 *
 * At a fixed rate a start's time counts from the moment it was due, not from when it was sent: a stall shows in every
 * request that it delayed. Completion is watched by long poll for a sample of the executions, so that watching does not
 * become the load.
 */

import { quantiles } from './report/results.ts';
import { startOver, untilCompleted } from './subject/engine-client.ts';

export interface Load {
  readonly started: number;
  /** Answered starts per second. */
  readonly rate: number;
  readonly failed: number;
  /** Milliseconds. */
  readonly start: Quantiles;
  readonly completed: Quantiles;
}

type Quantiles = ReturnType<typeof quantiles>;

/** Executions a second whose end is watched. */
const WATCHED_PER_SECOND = 100;
const TICK_MS = 2;

class Recorder {
  readonly #url: string;
  readonly #body: string;
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  readonly #pending = new Set<Promise<void>>();
  #watchedUntil = 0;
  #failed = 0;

  constructor(url: string, body: string) {
    this.#url = url;
    this.#body = body;
  }

  /** Starts one execution. `due`: when it should have been sent. Never rejects. */
  async start(due: number): Promise<void> {
    try {
      const id = await startOver(this.#url, this.#body);
      const now = performance.now();
      this.#starts.push(now - due);
      if (now < this.#watchedUntil) return;
      this.#watchedUntil = now + 1000 / WATCHED_PER_SECOND;
      this.#hold(untilCompleted(this.#url, id).then(() => void this.#ends.push(performance.now() - due)));
    } catch {
      this.#failed += 1;
    }
  }

  #hold(watched: Promise<void>): void {
    const held = watched
      .catch(() => {
        this.#failed += 1;
      })
      .finally(() => this.#pending.delete(held));
    this.#pending.add(held);
  }

  async finish(begun: number): Promise<Load> {
    const elapsed = (performance.now() - begun) / 1000;
    await Promise.all(this.#pending);
    return {
      started: this.#starts.length,
      rate: this.#starts.length / elapsed,
      failed: this.#failed,
      start: quantiles(this.#starts),
      completed: quantiles(this.#ends),
    };
  }
}

/** A fixed number of clients, each with one start under way. */
export async function closedLoop(url: string, body: string, clients: number, seconds: number): Promise<Load> {
  const recorder = new Recorder(url, body);
  const begun = performance.now();
  const deadline = begun + seconds * 1000;
  const client = async () => {
    while (performance.now() < deadline) await recorder.start(performance.now());
  };
  await Promise.all(Array.from({ length: clients }, client));
  return recorder.finish(begun);
}

/** Arrivals at `perSecond`, whether or not those before were answered. */
export async function atRate(url: string, body: string, perSecond: number, seconds: number): Promise<Load> {
  const recorder = new Recorder(url, body);
  const begun = performance.now();
  const total = Math.floor(perSecond * seconds);
  const pending: Promise<void>[] = [];
  while (pending.length < total) {
    const dueCount = Math.min(total, Math.floor(((performance.now() - begun) / 1000) * perSecond));
    while (pending.length < dueCount) {
      pending.push(recorder.start(begun + (pending.length / perSecond) * 1000));
    }
    await new Promise((resolve) => setTimeout(resolve, TICK_MS));
  }
  await Promise.all(pending);
  return recorder.finish(begun);
}
