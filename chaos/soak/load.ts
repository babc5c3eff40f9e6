/**
 * The load of a soak run: first the maximum of the engines, to measure it, then a steady rate.
 *
 * Starts are due by the clock, however long the ones before take: a slow engine gets no fewer of them.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { createEngineClient } from '../../client/engine-client.ts';
import type { Pool } from '../../db/connection/client.ts';
import type { Chance } from '../chance.ts';
import { drawDefinition, type SoakDefinition } from './definitions.ts';

export interface SoakLoadParts {
  readonly urls: readonly string[];
  readonly definitions: readonly SoakDefinition[];
  readonly admin: Pool;
  readonly draw: Chance;
}

const TICK_MS = 20;
const CALL_TIMEOUT_MS = 10_000;
/** The maximum of starts that wait for their answer; further due ones are counted as missed. */
const MAX_CALLS = 200;
const FULL_OPEN = 800;
const FULL_CALLS = 16;
const FULL_WARM_MS = 5_000;
const FULL_MS = 10_000;
const LONGEST_END_MS = 60_000;

export class SoakLoad {
  started = 0;
  /** Starts that were due while too many waited for their answer. */
  missed = 0;
  /** The other answers, each kind once, with its count. */
  readonly refusals = new Map<string, number>();
  readonly #parts: SoakLoadParts;
  readonly #clients: ReturnType<typeof createEngineClient>[];
  #answerMs: number[] = [];
  #calls = 0;

  constructor(parts: SoakLoadParts) {
    this.#parts = parts;
    this.#clients = parts.urls.map((url) =>
      createEngineClient({
        url,
        fetch: (target, init) => fetch(target, { ...init, signal: AbortSignal.timeout(CALL_TIMEOUT_MS) }),
      }),
    );
  }

  async publish(): Promise<void> {
    for (const { document } of this.#parts.definitions)
      await this.#clients[0]!.publish(JSON.stringify(document), 'application/json');
  }

  /** The number of executions per second that end while the engines are saturated. */
  async measureFull(): Promise<number> {
    const begunAt = performance.now();
    const isOver = () => performance.now() - begunAt > FULL_WARM_MS + FULL_MS;
    let open = 0;
    const watch = async () => {
      for (; !isOver(); await sleep(100)) open = await this.countOpen();
    };
    const feed = async () => {
      while (!isOver()) {
        if (open < FULL_OPEN) await this.#startOne();
        else await sleep(TICK_MS);
      }
    };
    await Promise.all([watch(), ...Array.from({ length: FULL_CALLS }, feed)]);
    const { rows } = await this.#parts.admin.query(
      `select count(*)::integer as count from workflow_executions
        where completed_at > clock_timestamp() - $1 * interval '1 millisecond'`,
      [FULL_MS],
    );
    this.takeAnswerTimes();
    return rows[0].count / (FULL_MS / 1_000);
  }

  /** Starts this many executions per second until the signal is aborted. */
  async run(rate: number, signal: AbortSignal): Promise<void> {
    const begunAt = performance.now();
    for (let due = 0, done = 0; !signal.aborted; await sleep(TICK_MS)) {
      due = Math.floor(((performance.now() - begunAt) / 1_000) * rate);
      for (; done < due; done += 1) {
        if (this.#calls >= MAX_CALLS) this.missed += 1;
        else void this.#startOne();
      }
    }
  }

  /** Resolves when no execution is under way any more, or after a minute with those that are. */
  async untilOver(): Promise<number> {
    const until = performance.now() + LONGEST_END_MS;
    for (;;) {
      const left = await this.countOpen();
      if ((left === 0 && this.#calls === 0) || performance.now() > until) return left;
      await sleep(200);
    }
  }

  /** How long starts took to be answered since this was asked last, in milliseconds. */
  takeAnswerTimes(): number[] {
    const taken = this.#answerMs;
    this.#answerMs = [];
    return taken;
  }

  async countOpen(): Promise<number> {
    const { rows } = await this.#parts.admin.query(
      `select count(*)::integer as count from workflow_executions where status in ('pending', 'running', 'paused')`,
    );
    return rows[0].count;
  }

  async #startOne(): Promise<void> {
    const { definitions, draw } = this.#parts;
    const { document, inputs } = drawDefinition(definitions, draw);
    const client = this.#clients[this.started % this.#clients.length]!;
    const begunAt = performance.now();
    this.#calls += 1;
    this.started += 1;
    try {
      await client.start({ template: document.name, inputs: inputs(draw) });
      this.#answerMs.push(performance.now() - begunAt);
    } catch (error) {
      const what = (error as Error).message;
      this.refusals.set(what, (this.refusals.get(what) ?? 0) + 1);
    } finally {
      this.#calls -= 1;
    }
  }
}
