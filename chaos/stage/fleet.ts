/**
 * The engines of a run: a fixed number of places, each with a process that is started again whenever it has ended.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { EngineProcess, type EngineSetup } from './engine-process.ts';

/** An engine that finds no database ends: the next one is started after this long. */
const RESTART_MS = 500;
const SCRAPE_TIMEOUT_MS = 2_000;
const LONGEST_START_MS = 60_000;
const LOOK_MS = 50;
/** The maximum of starts of a place that end by themselves; after these the run gives up. */
const MAX_IN_VAIN = 3;

export interface GaveUp {
  readonly engine: string;
  /** Whether it had been ready before. */
  readonly wasReady: boolean;
  readonly lastLines: readonly string[];
}

export class Fleet {
  /** Processes that ended by themselves. */
  readonly gaveUp: GaveUp[] = [];
  readonly #setup: (place: number) => EngineSetup;
  readonly #places: (EngineProcess | null)[];
  readonly #delays = new Map<number, () => Promise<unknown>>();
  readonly #metrics = new Map<string, number>();
  #starts = 0;
  #open = true;
  #keeping: Promise<unknown> = Promise.resolve();

  /** @param setup of every engine, or of the one at each place */
  constructor(setup: EngineSetup | ((place: number) => EngineSetup), places: number) {
    this.#setup = typeof setup === 'function' ? setup : () => setup;
    this.#places = Array.from({ length: places }, () => null);
  }

  /** How many processes were started so far. */
  get starts(): number {
    return this.#starts;
  }

  start(): void {
    this.#keeping = Promise.all(this.#places.map((_, place) => this.#keep(place)));
  }

  /** Those that answer calls. */
  get ready(): EngineProcess[] {
    return this.#places.filter((engine) => engine?.state === 'ready').map((engine) => engine!);
  }

  get paused(): EngineProcess[] {
    return this.#places.filter((engine) => engine?.state === 'paused').map((engine) => engine!);
  }

  /** @throws when they do not become ready without a fault */
  async allReady(): Promise<void> {
    const until = performance.now() + LONGEST_START_MS;
    const inVain = () => this.gaveUp.filter(({ wasReady }) => !wasReady).length;
    const most = inVain() + MAX_IN_VAIN * this.#places.length;
    while (this.ready.length < this.#places.length) {
      if (performance.now() > until || inVain() >= most)
        throw new Error(`The engines do not come up:\n${this.#lastWords()}`);
      await sleep(LOOK_MS);
    }
  }

  /** The process at this place, in any state. */
  at(place: number): EngineProcess | null {
    return this.#places[place] ?? null;
  }

  /** kill -9; the place stays empty for this long, in milliseconds, or until the promise is settled. */
  kill(engine: EngineProcess, empty: number | Promise<unknown>): void {
    this.#delays.set(this.#places.indexOf(engine), () =>
      typeof empty === 'number' ? sleep(empty) : empty.catch(() => {}),
    );
    engine.kill();
  }

  /** The sum of the last values of a metric without labels, over all processes. */
  async total(metric: string): Promise<number> {
    await Promise.all(this.ready.map((engine) => this.#scrape(engine, metric)));
    return [...this.#metrics.values()].reduce((sum, value) => sum + value, 0);
  }

  async stop(): Promise<void> {
    this.#open = false;
    const running = this.#places.filter((engine) => engine !== null);
    for (const engine of running) engine.kill();
    await Promise.all(running.map(({ ended }) => ended));
    await this.#keeping;
  }

  async #keep(place: number): Promise<void> {
    while (this.#open) {
      this.#starts += 1;
      const engine = await EngineProcess.start(`${place}.${this.#starts}`, this.#setup(place));
      this.#places[place] = engine;
      if (!this.#open) engine.kill();
      await engine.ended;
      if (engine.gaveUp) {
        const { name, url, lastLines } = engine;
        this.gaveUp.push({ engine: name, wasReady: url !== null, lastLines: lastLines.slice(-20) });
      }
      if (this.#open) await (this.#delays.get(place) ?? (() => sleep(RESTART_MS)))();
      this.#delays.delete(place);
    }
  }

  #lastWords(): string {
    const missing = this.#places.filter((engine) => engine?.state !== 'ready');
    const lines = missing.flatMap((engine) => engine?.lastLines.slice(-5) ?? []);
    return [...lines, ...(this.gaveUp.at(-1)?.lastLines ?? [])].join('\n');
  }

  async #scrape({ name, url }: EngineProcess, metric: string): Promise<void> {
    try {
      const answer = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(SCRAPE_TIMEOUT_MS) });
      const line = (await answer.text()).split('\n').find((text) => text.startsWith(`${metric} `));
      if (line !== undefined) this.#metrics.set(name, Number(line.split(' ')[1]));
    } catch {
      // It was killed or paused meanwhile: its last value stays.
    }
  }
}
