/**
 * The faults and their times: a stream per kind of victim, each drawn from the seed.
 *
 * The streams run side by side, so that faults meet; two faults of the database never overlap. Between two faults of a
 * stream the engines get something done: on a busy machine faults that came by the clock alone would leave no engine
 * the time to start.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from '../db/connection/client.ts';
import { type Chance, chance } from './chance.ts';
import type { Fault, Options, Range } from './options.ts';
import { leastFaults } from './report.ts';
import type { EngineProcess } from './stage/engine-process.ts';
import type { Fleet } from './stage/fleet.ts';
import type { ChaosPostgres } from './stage/postgres.ts';
import type { PostgresProxy } from './stage/proxy.ts';
import type { Workers } from './workers/workers.ts';

export interface NemesisParts {
  readonly options: Options;
  readonly fleet: Fleet;
  readonly postgres: ChaosPostgres;
  readonly proxy: PostgresProxy;
  readonly workers: Workers;
  /** Past the proxy, for finding a backend to kill. */
  readonly admin: Pool;
  readonly witness: Pool;
}

export type FaultCounts = Record<Fault, number> & {
  /** By what was done, finer than the kinds of the options. */
  readonly details: Record<string, number>;
};

const DOWN: Range = [0.2, 2];
/** Commits of all engines between two faults of a stream: less than a second's on a quiet machine. */
const LEAST_COMMITS = 40;
/** The longest that a stream waits for them: other streams may keep all engines from committing. */
const LONGEST_WAIT_SECONDS = 30;
const LOOK_SECONDS = 0.1;
/** From the kill of an engine until others are in the middle of its takeover. */
const TAKEOVER: Range = [0, 1.5];

export class Nemesis {
  readonly counts: FaultCounts;
  readonly #parts: NemesisParts;
  readonly #ending = new AbortController();
  #streams: Promise<unknown> = Promise.resolve();
  #databaseFaults = 0;

  constructor(parts: NemesisParts) {
    this.#parts = parts;
    this.counts = {
      kill: 0,
      pause: 0,
      'db-kill': 0,
      'db-restart': 0,
      drop: 0,
      eat: 0,
      worker: 0,
      details: {},
    };
  }

  /** Whether every kind of fault has come as often as a run needs to count. */
  hasStruckEnough(): boolean {
    const { options, proxy } = this.#parts;
    const { counts } = this;
    const least = leastFaults(options.executions);
    return options.faults.every((fault) => (fault === 'eat' ? proxy.counts.eaten : counts[fault]) >= least);
  }

  start(): void {
    const { options, proxy } = this.#parts;
    const has = (...faults: Fault[]) => faults.some((fault) => options.faults.includes(fault));
    if (has('eat')) proxy.faults.eat = options.eat;
    if (has('drop')) proxy.faults.cut = options.cut;
    const streams: Promise<void>[] = [];
    if (has('kill')) streams.push(this.#stream('kill', options.killEvery, (draw) => this.#kill(draw)));
    if (has('pause')) streams.push(this.#stream('pause', options.pauseEvery, (draw) => this.#pause(draw)));
    if (has('worker'))
      streams.push(this.#stream('worker', options.workerEvery, (draw) => this.#killWorker(draw)));
    if (has('drop')) streams.push(this.#stream('drop', options.dropEvery, (draw) => this.#drop(draw)));
    if (has('db-kill', 'db-restart'))
      streams.push(this.#stream('db', options.dbEvery, (draw) => this.#hitDatabase(draw)));
    this.#streams = Promise.all(streams);
  }

  /** Ends all faults and repairs their effects: every engine runs, the database is there, the wire passes. */
  async stop(): Promise<void> {
    const { fleet, proxy } = this.#parts;
    this.#ending.abort();
    await this.#streams;
    Object.assign(proxy.faults, { eat: 0, cut: 0 });
    this.counts.eat = proxy.counts.eaten;
    for (const engine of fleet.paused) engine.resume();
    await fleet.allReady();
  }

  async #stream(purpose: string, every: Range, strike: (draw: Chance) => Promise<void>): Promise<void> {
    const { options, proxy } = this.#parts;
    const draw = chance(options.seed, 'nemesis', purpose);
    while (await this.#wait(draw.between(every))) {
      await strike(draw);
      if (!(await this.#committed(proxy.counts.commits + LEAST_COMMITS))) return;
    }
  }

  /** Waits until the engines have made this many commits, for a bounded time. False: the faults are over. */
  async #committed(count: number): Promise<boolean> {
    const { proxy } = this.#parts;
    for (let waited = 0; waited < LONGEST_WAIT_SECONDS; waited += LOOK_SECONDS) {
      if (proxy.counts.commits >= count) break;
      if (!(await this.#wait(LOOK_SECONDS))) return false;
    }
    return true;
  }

  /** False: the faults are over. */
  async #wait(seconds: number): Promise<boolean> {
    const { signal } = this.#ending;
    await sleep(seconds * 1_000, undefined, { signal }).catch(() => {});
    return !signal.aborted;
  }

  #count(fault: Fault, detail: string): void {
    this.counts[fault] += 1;
    this.counts.details[detail] = (this.counts.details[detail] ?? 0) + 1;
  }

  async #kill(draw: Chance, detail = 'kill -9 of an engine'): Promise<void> {
    const { fleet } = this.#parts;
    const [place, downSeconds] = [draw.next(), draw.between(DOWN)];
    const engine = pickFrom(fleet.ready, place);
    if (engine === null) return;
    const at = new Date();
    fleet.kill(engine, downSeconds * 1_000);
    this.#count('kill', detail);
    await this.#note('kill', engine, at, null);
  }

  async #killWorker(draw: Chance): Promise<void> {
    if (this.#parts.workers.kill(draw.next())) this.#count('worker', 'kill -9 of a worker');
  }

  async #pause(draw: Chance): Promise<void> {
    const [place, seconds] = [draw.next(), drawPause(draw, this.#parts.options.pauseFor)];
    const engine = pickFrom(this.#parts.fleet.ready, place);
    if (engine === null) return;
    const at = new Date();
    engine.pause();
    this.#count('pause', 'SIGSTOP of an engine');
    await this.#wait(seconds);
    engine.resume();
    await this.#note('pause', engine, at, new Date());
  }

  async #drop(draw: Chance): Promise<void> {
    const { proxy } = this.#parts;
    const what = draw.next();
    const seconds = draw.between([1, 8]);
    const at = new Date();
    if (what < 0.75) {
      if (proxy.dropOne()) this.#count('drop', 'one connection dropped');
    } else if (what < 0.85) {
      proxy.dropAll();
      this.#count('drop', 'all connections dropped');
      await this.#note('drop', null, at, at);
    } else {
      const heal = proxy.silenceOne();
      this.#count('drop', 'one connection silent');
      await this.#wait(seconds);
      heal();
    }
  }

  async #hitDatabase(draw: Chance): Promise<void> {
    const { options, postgres } = this.#parts;
    const kinds = options.faults.filter((fault) => fault === 'db-kill' || fault === 'db-restart');
    // In turn: a short run has few of them.
    const turn = this.#databaseFaults++;
    const fault = kinds[turn % kinds.length]!;
    const onlyBackend = fault === 'db-kill' && Math.floor(turn / kinds.length) % 2 === 0;
    const downSeconds = draw.between(DOWN);
    if (!onlyBackend) await this.#beginTakeover(draw);
    const at = new Date();
    if (onlyBackend) {
      if (!(await this.#killBackend(draw))) return;
      this.#count(fault, 'kill -9 of a backend');
    } else {
      this.#count(fault, fault === 'db-kill' ? 'kill -9 of the postmaster' : 'immediate stop of PostgreSQL');
      await (fault === 'db-kill' ? postgres.killPostmaster() : postgres.crash());
      // It comes back even when the faults end meanwhile.
      await this.#wait(downSeconds);
      await postgres.start();
    }
    await this.#note(fault, null, at, new Date());
  }

  /** So that a stop of the database interrupts one now and then. */
  async #beginTakeover(draw: Chance): Promise<void> {
    const [isWanted, seconds] = [draw.happens(0.5), draw.between(TAKEOVER)];
    if (!isWanted || !this.#parts.options.faults.includes('kill')) return;
    await this.#kill(draw, 'kill -9 of an engine before PostgreSQL stops');
    await this.#wait(seconds);
  }

  /** All other backends are ended by their postmaster then, and it recovers. */
  async #killBackend(draw: Chance): Promise<boolean> {
    const { admin, postgres } = this.#parts;
    try {
      const { rows } = await admin.query(
        `select pid from pg_stat_activity
          where backend_type = 'client backend' and application_name like 'engine/%' order by pid`,
      );
      if (rows.length === 0) return false;
      process.kill(draw.pick(rows).pid, 'SIGKILL');
    } catch {
      return false;
    }
    await postgres.start();
    return true;
  }

  async #note(kind: string, engine: EngineProcess | null, from: Date, to: Date | null): Promise<void> {
    await this.#parts.witness.query(
      'insert into chaos_faults (kind, engine, from_at, to_at) values ($1, $2, $3, $4)',
      [kind, engine?.name ?? null, from, to],
    );
  }
}

/** One in three has the maximum length: only those last until the engine is taken for dead. */
function drawPause(draw: Chance, [from, to]: Range): number {
  const isLong = draw.happens(1 / 3);
  return isLong ? draw.between([Math.max(from, to * 0.95), to]) : draw.between([from, to]);
}

function pickFrom(engines: readonly EngineProcess[], place: number): EngineProcess | null {
  return engines[Math.floor(place * engines.length)] ?? null;
}
