/**
 * Keeps a number of executions under way, started over HTTP at whichever engine answers.
 *
 * An execution without a clear answer to its start may exist: it counts like any other.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { createEngineClient } from '../../client/engine-client.ts';
import type { Pool } from '../../db/connection/client.ts';
import type { Chance } from '../chance.ts';
import type { Range } from '../options.ts';
import { RECOVERY_TOKEN } from './stage.ts';
import { RECOVERY_DEFINITION } from './step-types.ts';

export interface RecoveryLoadParts {
  /** Addresses of the engines that can be asked now. */
  urls(): readonly string[];
  readonly admin: Pool;
  readonly inFlight: number;
  /** How long a step takes, in seconds. */
  readonly holdSeconds: Range;
  readonly draw: Chance;
}

const LOOK_MS = 200;
const CALL_TIMEOUT_MS = 5_000;
/** In which everything must be over at the end. */
const LONGEST_END_MS = 60_000;
const COUNT_OPEN = `
  select count(*)::integer as count from workflow_executions where status in ('pending', 'running', 'paused')`;

export class RecoveryLoad {
  /** Executions whose start was acknowledged. */
  started = 0;
  readonly #parts: RecoveryLoadParts;
  #open = true;
  #running: Promise<void> = Promise.resolve();

  constructor(parts: RecoveryLoadParts) {
    this.#parts = parts;
  }

  /** Publishes the definition and begins. */
  async start(): Promise<void> {
    await clientOf(this.#parts.urls()[0]!).publish(JSON.stringify(RECOVERY_DEFINITION), 'application/json');
    this.#running = this.#keepGoing();
  }

  /** No more starts. */
  async stop(): Promise<void> {
    this.#open = false;
    await this.#running;
  }

  /** Stops; resolves when no execution is under way any more, or after a minute with those that are. */
  async finish(): Promise<number> {
    await this.stop();
    const until = performance.now() + LONGEST_END_MS;
    for (;;) {
      const left = await this.#countOpen();
      if (left === 0 || performance.now() > until) return left;
      await sleep(LOOK_MS);
    }
  }

  async #keepGoing(): Promise<void> {
    for (; this.#open; await sleep(LOOK_MS)) {
      const { urls, inFlight, draw } = this.#parts;
      const missing = inFlight - (await this.#countOpen().catch(() => inFlight));
      const addresses = urls();
      if (missing > 0 && addresses.length > 0) await this.#startMany(draw.pick(addresses), missing);
    }
  }

  async #startMany(url: string, count: number): Promise<void> {
    const { draw, holdSeconds } = this.#parts;
    const items = Array.from({ length: count }, () => ({
      template: 'recovery',
      inputs: { ms: Math.round(draw.between(holdSeconds) * 1_000) },
    }));
    await clientOf(url)
      .startMany(items)
      .then((executions) => {
        this.started += executions.length;
      })
      // The asked engine is gone, or its database is: the next one is asked.
      .catch(() => {});
  }

  async #countOpen(): Promise<number> {
    const { rows } = await this.#parts.admin.query(COUNT_OPEN);
    return rows[0].count;
  }
}

function clientOf(url: string) {
  return createEngineClient({
    url,
    token: RECOVERY_TOKEN,
    fetch: (target, init) => fetch(target, { ...init, signal: AbortSignal.timeout(CALL_TIMEOUT_MS) }),
  });
}
