/**
 * The client of the engines: starts executions over HTTP, asks again when an answer is unclear, ends a few.
 *
 * Acknowledged starts are recorded with the witness, so that memory does not grow with the run.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  createEngineClient,
  type EngineClient,
  EngineProblem,
  EngineUnreachable,
} from '../client/engine-client.ts';
import type { Pool } from '../db/connection/client.ts';
import { type Chance, chance } from './chance.ts';
import type { Ending, Plan } from './plan.ts';
import type { Fleet } from './stage/fleet.ts';

export interface ClientParts {
  readonly plan: Plan;
  readonly fleet: Fleet;
  readonly witness: Pool;
  /** Executions that are not final, by the database. */
  countOpen(): Promise<number>;
  /** Sends a signal to a step that may not wait yet. */
  sendEarly(executionId: string, place: string, seed: number): Promise<void>;
  /** Whether there were faults enough for the run to count. */
  isEnough(): boolean;
}

export interface ClientCounts {
  /** Executions whose start was acknowledged. */
  started: number;
  stopped: number;
  cancelled: number;
  /** Calls without a clear answer, which were made again. */
  unclear: number;
  /** Answers of 500 and above other than 503, by their text. */
  readonly serverErrors: Record<string, number>;
}

const CALLS_AT_ONCE = 6;
const CALL_TIMEOUT_MS = 5_000;
const LOOK_MS = 250;
/** The last executions come slowly for as long as faults are missing: a busy machine has fewer in a time. */
const LAST_SHARE = 0.1;
const SLOW_MS = 1_000;
/** The longest wait for them after the last start. */
const MAX_WAIT_MS = 120_000;

export class ChaosClient {
  readonly counts: ClientCounts = { started: 0, stopped: 0, cancelled: 0, unclear: 0, serverErrors: {} };
  /** Answers that must not occur. */
  readonly complaints: string[] = [];
  readonly #parts: ClientParts;
  readonly #chance: Chance;
  readonly #calls = new Set<Promise<void>>();
  readonly #endings = new Set<Promise<void>>();
  #open = true;

  constructor(parts: ClientParts) {
    this.#parts = parts;
    this.#chance = chance(parts.plan.options.seed, 'client');
  }

  /** Resolves when every start is acknowledged, or after `stop`. */
  async startAll(): Promise<void> {
    const { plan, countOpen, isEnough } = this.#parts;
    const { executions, inFlight, atLeast } = plan.options;
    const begunAt = performance.now();
    let room = inFlight;
    for (let place = 0; place < executions && this.#open; ) {
      const dueAt = begunAt + (place / executions) * atLeast * 1_000;
      if (room <= 0 || performance.now() < dueAt) {
        await sleep(LOOK_MS);
        room = inFlight - (await countOpen().catch(() => inFlight));
        continue;
      }
      const size = Math.min(plan.groupSize(place), executions - place);
      const places = Array.from({ length: size }, (_, at) => place + at);
      await this.#tracked(this.#calls, this.#startGroup(places));
      while (this.#calls.size >= CALLS_AT_ONCE) await Promise.race(this.#calls);
      place += size;
      room -= size;
      if (place >= executions * (1 - LAST_SHARE) && !isEnough()) await sleep(SLOW_MS);
    }
    const waitsUntil = performance.now() + MAX_WAIT_MS;
    while (this.#open && !isEnough() && performance.now() < waitsUntil) await sleep(LOOK_MS);
    await Promise.all(this.#calls);
  }

  /** Resolves when every stop and cancel that was due is answered. */
  async endingsAnswered(): Promise<void> {
    await Promise.all(this.#endings);
  }

  /** No more starts; calls that wait for a clear answer give up. */
  stop(): void {
    this.#open = false;
  }

  async #tracked(set: Set<Promise<void>>, work: Promise<void>): Promise<void> {
    const tracked: Promise<void> = work.finally(() => set.delete(tracked));
    set.add(tracked);
  }

  async #startGroup(places: readonly number[]): Promise<void> {
    const { plan } = this.#parts;
    const calls = places.length === 1 && plan.execution(places[0]!).twice ? 2 : 1;
    const answers = await Promise.all(Array.from({ length: calls }, () => this.#startOnce(places)));
    const [ids, others = ids] = answers;
    if (ids == null) return;
    if (others !== null && others!.join() !== ids.join())
      this.complaints.push(`two starts with the key ${plan.key(places[0]!)} made ${ids} and ${others}`);
    await this.#writeDown(places, ids);
    this.counts.started += places.length;
    places.forEach((place, at) => {
      const { ending, seed } = plan.execution(place);
      if (ending !== null) this.#tracked(this.#endings, this.#endLater(place, ids[at]!, ending));
      for (const key of plan.early(place))
        this.#tracked(this.#endings, this.#parts.sendEarly(ids[at]!, key, seed));
    });
  }

  /** Ids in the order of the places; null: given up or refused. */
  #startOnce(places: readonly number[]): Promise<string[] | null> {
    const starts = places.map((place) => this.#parts.plan.start(place));
    return this.#untilClear(async (client) => {
      if (starts.length === 1) return [(await client.start(starts[0]!)).execution_id];
      return (await client.startMany(starts)).map(({ execution_id }) => execution_id);
    });
  }

  async #endLater(place: number, id: string, { kind, afterMs }: Ending): Promise<void> {
    await sleep(afterMs);
    const kinds = kind === 'both' ? (['stop', 'cancel'] as const) : [kind];
    const done = await Promise.all(
      kinds.map((each) =>
        this.#untilClear((client) => (each === 'stop' ? client.stop(id) : client.cancel(id))),
      ),
    );
    if (done.includes(null)) return;
    for (const each of kinds) this.counts[each === 'stop' ? 'stopped' : 'cancelled'] += 1;
    await this.#parts.witness.query(
      'insert into chaos_endings (place, execution_id, kind) values ($1, $2, $3)',
      [place, id, kinds.at(-1)],
    );
  }

  async #writeDown(places: readonly number[], ids: readonly string[]): Promise<void> {
    await this.#parts.witness.query(
      'insert into chaos_starts (place, execution_id) select * from unnest($1::integer[], $2::uuid[])',
      [places, ids],
    );
  }

  /** Asks one engine after the other until one answers. Null: it was refused, or there is no more time. */
  async #untilClear<T>(call: (client: EngineClient) => Promise<T>): Promise<T | null> {
    while (this.#open) {
      const engines = this.#parts.fleet.ready;
      if (engines.length > 0) {
        try {
          return await call(clientOf(this.#chance.pick(engines).url!));
        } catch (error) {
          if (!this.#isUnclear(error)) return null;
        }
      }
      await sleep(20 + this.#chance.below(200));
    }
    return null;
  }

  #isUnclear(error: unknown): boolean {
    this.counts.unclear += 1;
    if (error instanceof EngineUnreachable) return true;
    if (!(error instanceof EngineProblem)) throw error;
    if (error.status < 500) {
      this.complaints.push(`a call was refused: ${error.status} ${error.code}: ${error.message}`);
      return false;
    }
    if (error.status !== 503) {
      const what = `${error.status} ${error.code}: ${error.message.replace(/ under request id .*/, '')}`;
      this.counts.serverErrors[what] = (this.counts.serverErrors[what] ?? 0) + 1;
    }
    return true;
  }
}

function clientOf(url: string): EngineClient {
  return createEngineClient({
    url,
    fetch: (target, init) => fetch(target, { ...init, signal: AbortSignal.timeout(CALL_TIMEOUT_MS) }),
  });
}
