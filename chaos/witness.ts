/**
 * The record of the handlers' effects, out of reach of every fault: a separate database on a separate server.
 *
 * Effects of one turn of the event loop share a statement. The step's id stands for its scope too: it is the id of
 * one row, of one step in one scope of one execution.
 *
 * Invariant: the promise of `record` resolves when the row is committed, and a handler waits for it.
 */
import { createPool, type Pool } from '../db/connection/client.ts';

export interface Effect {
  readonly executionId: string;
  readonly stepId: string;
  readonly stepKey: string;
  readonly attempt: number;
  /** How often the attempt was parked before. */
  readonly visit: number;
  /** How long the handler is going to take from here. */
  readonly busyMs: number;
  /** The error in its inputs; null: none. */
  readonly complaint: string | null;
}

export const WITNESS_TABLES = `
  create table chaos_effects (
    position bigint generated always as identity primary key,
    execution_id uuid not null, step_id uuid not null, step_key text not null, attempt integer not null,
    visit integer not null, engine text not null, busy_ms integer not null, complaint text,
    at timestamptz not null default clock_timestamp());
  create table chaos_starts (
    place integer primary key, execution_id uuid not null, at timestamptz not null default clock_timestamp());
  create table chaos_endings (
    place integer primary key, execution_id uuid not null, kind text not null,
    at timestamptz not null default clock_timestamp());
  create table chaos_faults (
    position bigint generated always as identity primary key,
    kind text not null, engine text, from_at timestamptz not null, to_at timestamptz);`;

/** The indexes for the checks; made when everything is written. */
export const WITNESS_INDEXES = `
  create index on chaos_effects (execution_id);
  create index on chaos_effects (step_id, attempt);
  create index on chaos_effects (engine, at);
  analyze`;

/** In a process that was paused every timeout is over when it goes on: this one is longer than any pause. */
const CONNECT_TIMEOUT_MS = 120_000;

export function openWitness(url: string): Pool {
  return createPool(url, {
    max: 3,
    applicationName: 'chaos/witness',
    statementTimeoutMs: 0,
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
  });
}

interface Waiting {
  readonly effect: Effect;
  resolve(): void;
  reject(error: unknown): void;
}

/** Of one engine process. */
export class Recorder {
  readonly #pool: Pool;
  readonly #engine: string;
  #waiting: Waiting[] = [];

  constructor(url: string, engine: string) {
    this.#pool = openWitness(url);
    this.#engine = engine;
  }

  record(effect: Effect): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.push({ effect, resolve, reject });
    if (this.#waiting.length === 1) setImmediate(() => this.#flush());
    return promise;
  }

  async #flush(): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = [];
    const column = (of: (effect: Effect) => unknown) => waiting.map(({ effect }) => of(effect));
    try {
      await this.#pool.query({
        name: 'record',
        text: `insert into chaos_effects (engine, execution_id, step_id, step_key, attempt, visit, busy_ms, complaint)
               select $1, * from unnest($2::uuid[], $3::uuid[], $4::text[], $5::integer[], $6::integer[],
                                        $7::integer[], $8::text[])`,
        values: [
          this.#engine,
          column((effect) => effect.executionId),
          column((effect) => effect.stepId),
          column((effect) => effect.stepKey),
          column((effect) => effect.attempt),
          column((effect) => effect.visit),
          column((effect) => effect.busyMs),
          column((effect) => effect.complaint),
        ],
      });
      for (const { resolve } of waiting) resolve();
    } catch (error) {
      for (const { reject } of waiting) reject(error);
    }
  }
}
