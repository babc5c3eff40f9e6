/**
 * What step handlers of tests write down in the test's database, over a connection of their own: every run, and
 * who has arrived where. What a test counts is counted there, across engines and processes.
 *
 * Handlers of one turn of the event loop share one statement, so that 100,000 runs can be recorded one by one.
 *
 * Invariant: a promise of the recorder resolves when its row is committed.
 */
import pg from 'pg';
import { until } from '../until.ts';

export interface StepRun {
  readonly executionId: string;
  readonly stepId: string;
  readonly step: string;
  readonly attempt: number;
  readonly note: string | null;
}

interface Waiting<T> {
  readonly item: T;
  resolve(): void;
  reject(error: unknown): void;
}

export const RECORDS = `
  create table if not exists test_runs (
    position bigint generated always as identity primary key,
    engine text not null, execution_id uuid not null, step_id uuid not null, step text not null,
    attempt integer not null, note text);
  create table if not exists test_intervals (
    engine text not null, step_id uuid not null, step text not null, attempt integer not null, note text,
    begun_at timestamptz not null default clock_timestamp(), ended_at timestamptz);
  create table if not exists test_arrivals (place text not null, step_id uuid not null, primary key (place, step_id));
  create table if not exists test_gates (name text primary key)`;

const open = new Map<string, Recorder>();

/** The one recorder of an engine in this process. */
export function recorderOf(url: string, engine: string): Recorder {
  const key = `${engine} ${url}`;
  const known = open.get(key) ?? new Recorder(url, engine);
  open.set(key, known);
  return known;
}

/** Closes what an engine in this process recorded with. */
export async function closeRecorder(url: string, engine: string): Promise<void> {
  const key = `${engine} ${url}`;
  const recorder = open.get(key);
  open.delete(key);
  await recorder?.close();
}

export class Recorder {
  readonly #url: string;
  readonly #engine: string;
  #connecting: Promise<pg.Client> | null = null;
  #runs: Waiting<StepRun>[] = [];
  #gates: Waiting<string>[] = [];
  #watching = false;
  #closed = false;

  constructor(url: string, engine: string) {
    this.#url = url;
    this.#engine = engine;
  }

  /** Writes a run down. */
  record(run: StepRun): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#runs.push({ item: run, resolve, reject });
    if (this.#runs.length === 1) setImmediate(() => this.#flush());
    return promise;
  }

  /** Writes down that a run begins now, by the database's clock; call what it answers when it ends. */
  async begin({ stepId, step, attempt, note }: StepRun): Promise<() => Promise<void>> {
    const client = await this.#client();
    await client.query(
      'insert into test_intervals (engine, step_id, step, attempt, note) values ($1, $2, $3, $4, $5)',
      [this.#engine, stepId, step, attempt, note],
    );
    return async () => {
      await client.query(
        'update test_intervals set ended_at = clock_timestamp() where step_id = $1 and attempt = $2 and ended_at is null',
        [stepId, attempt],
      );
    };
  }

  /** Resolves when the gate is open: a row of test_gates. */
  gate(name: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#gates.push({ item: name, resolve, reject });
    this.#watch();
    return promise;
  }

  /** Opens the gate `place` once `count` steps have arrived there, over all engines. */
  async arrive(place: string, stepId: string, count: number): Promise<void> {
    const client = await this.#client();
    await client.query('insert into test_arrivals values ($1, $2) on conflict do nothing', [place, stepId]);
    await client.query(
      `insert into test_gates
       select $1 where (select count(*) from test_arrivals where place = $1) >= $2 on conflict do nothing`,
      [place, count],
    );
    return this.gate(place);
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const { reject } of this.#gates) reject(new Error('The recorder was closed.'));
    const client = await this.#connecting?.catch(() => null);
    await client?.end().catch(() => {});
  }

  async #flush(): Promise<void> {
    const waiting = this.#runs;
    this.#runs = [];
    const column = (of: (run: StepRun) => unknown) => waiting.map(({ item }) => of(item));
    try {
      const client = await this.#client();
      await client.query({
        name: 'record',
        text: `insert into test_runs (engine, execution_id, step_id, step, attempt, note)
               select $1, * from unnest($2::uuid[], $3::uuid[], $4::text[], $5::integer[], $6::text[])`,
        values: [
          this.#engine,
          column((run) => run.executionId),
          column((run) => run.stepId),
          column((run) => run.step),
          column((run) => run.attempt),
          column((run) => run.note),
        ],
      });
      for (const { resolve } of waiting) resolve();
    } catch (error) {
      for (const { reject } of waiting) reject(error);
    }
  }

  /** One look at all gates together, until nobody waits. */
  async #watch(): Promise<void> {
    if (this.#watching) return;
    this.#watching = true;
    await until(async () => {
      try {
        await this.#look();
      } catch (error) {
        for (const { reject } of this.#gates.splice(0)) reject(error);
      }
      return this.#gates.length === 0 || this.#closed;
    });
    this.#watching = false;
  }

  async #look(): Promise<void> {
    const client = await this.#client();
    const names = [...new Set(this.#gates.map(({ item }) => item))];
    const { rows } = await client.query('select name from test_gates where name = any($1)', [names]);
    const opened = new Set(rows.map(({ name }) => name));
    const through = this.#gates.filter(({ item }) => opened.has(item));
    this.#gates = this.#gates.filter(({ item }) => !opened.has(item));
    for (const { resolve } of through) resolve();
  }

  #client(): Promise<pg.Client> {
    this.#connecting ??= connect(this.#url);
    return this.#connecting;
  }
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, application_name: 'test/steps' });
  client.on('error', () => {});
  await client.connect();
  return client;
}
