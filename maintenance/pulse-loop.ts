/**
 * Once a second: sends the heartbeat, and looks for work without a notification: due jobs, dead peers,
 * executions that were ended elsewhere.
 *
 * `tick()` is public and runs one round; the loop only calls it.
 */
import {
  type EndedExecutions,
  type EngineRow,
  endedExecutions,
  pulse,
  registerEngine,
} from '../db/engine.ts';
import { lostSteps } from '../db/races/lost-steps.ts';
import { Periodic } from '../process/periodic.ts';
import { Rescues, type RescuesOptions } from './rescues.ts';
import type { StallWatch } from './stall-watch.ts';

export interface PulseLoopOptions extends Omit<RescuesOptions, 'engineId' | 'peers'> {
  readonly engine: EngineRow;
  /** The qualified name of pg-boss's job table. */
  readonly jobTable: string;
  runningCount(): number;
  /** Returns whether this engine holds its lease. */
  hasLease(): boolean;
  /** Executions of which this process runs steps or has waiters. */
  watched(): readonly string[];
  /** Steps running in this process that may lose a race. */
  racing(): readonly string[];
  /** Jobs are due in the queues. */
  onJobs(): void;
  /** Watched executions that are final, being stopped or compensating. */
  onEnded(executions: EndedExecutions): void;
  /** Steps running in this process that have lost a race. */
  onLost(stepIds: readonly string[]): void;
  /** Ids of the other live engines, after each round. */
  onPeers(ids: readonly string[]): void;
  /** The database has answered a heartbeat. */
  onAnswer(): void;
  /**
   * The database has received no heartbeat for so long that others may have taken over this engine's steps.
   * @param hadPeers whether there is, or was before the silence, another engine
   */
  onSilence(ms: number, hadPeers: boolean): void;
}

const INTERVAL_MS = 1_000;
/** Pause after a failed heartbeat: short, so that a recovered engine is not declared dead. */
const AFTER_FAILURE_MS = 250;
const TICKS_BETWEEN_SEARCHES = 10;
/** Rounds of extra searches: a statement sent by a dead engine may still commit a while after its end. */
const TICKS_OF_ALARM = 5;
/** Peers may declare an engine dead after a longer silence, when its lease was lost too (engine-alive.ts). */
const SILENT_MS = 4_000;

export class PulseLoop {
  readonly #options: PulseLoopOptions;
  #stalls: Pick<StallWatch, 'round'> | null = null;
  readonly #rounds: Periodic;
  /** Null until the first round has ended. */
  #peers: readonly string[] | null = null;
  #silent: ReadonlySet<string> = new Set();
  #untilSearch = 0;
  #alarm = 0;
  readonly #rescues: Rescues;
  readonly #toLookAt = new Set<string>();
  #looking: Promise<void> | null = null;
  #lastBeatAt = performance.now();

  constructor(options: PulseLoopOptions) {
    this.#options = options;
    this.#rescues = new Rescues({
      ...options,
      engineId: options.engine.id,
      peers: () => this.#peers ?? [],
    });
    this.#rounds = new Periodic({
      tick: () => this.tick(),
      intervalMs: INTERVAL_MS,
      afterFailureMs: AFTER_FAILURE_MS,
      onError: options.onError,
    });
  }

  /** Sets the watch that is called after each answered heartbeat. */
  useStallWatch(stalls: Pick<StallWatch, 'round'>): void {
    this.#stalls = stalls;
  }

  /** True until the first round shows otherwise: a needless notification is better than a missing one. */
  get hasPeers(): boolean {
    return this.#peers?.length !== 0;
  }

  /** Milliseconds since the database last heard from this engine. */
  get silentMs(): number {
    return performance.now() - this.#lastBeatAt;
  }

  start(): void {
    this.#rounds.start();
  }

  /** Sends a heartbeat at once, in a new session: the sooner peers hear it, the surer they are that it is alive. */
  sessionLost(): void {
    this.#rounds.hurry();
  }

  async close(): Promise<void> {
    await this.#rounds.close();
    await this.#rescues.close();
    await this.#looking;
  }

  async tick(): Promise<void> {
    const { db, engine, jobTable, runningCount, hasLease, watched, signs } = this.#options;
    const beat = { id: engine.id, runningCount: runningCount(), hasLease: hasLease() };
    const seen = await pulse(db, beat, jobTable, watched(), signs);
    this.#options.onAnswer();
    const hadPeers = [seen.peers, seen.deadEngines, this.#peers ?? []].some(({ length }) => length > 0);
    if (this.silentMs > SILENT_MS) this.#options.onSilence(this.silentMs, hadPeers || !seen.registered);
    this.#lastBeatAt = performance.now();
    this.#peers = seen.peers;
    this.#options.onPeers(seen.peers);
    if (!seen.registered) await registerEngine(db, engine, signs);
    this.#options.onEnded(seen.ended);
    await this.#lookForLosers();
    this.#lookForTheDead(seen.deadEngines);
    this.#stalls?.round(seen.hasJobs);
    if (seen.hasJobs) this.#options.onJobs();
  }

  /**
   * Looks which of the watched executions were ended elsewhere.
   * @param named ids named in a notification; null: any
   */
  lookForEnded(named: readonly string[] | null): void {
    const watched = this.#options.watched();
    for (const id of named === null ? watched : watched.filter((each) => named.includes(each)))
      this.#toLookAt.add(id);
    this.#looking ??= this.#look()
      .catch((error) => this.#options.onError(error))
      .finally(() => {
        this.#looking = null;
      });
  }

  async #look(): Promise<void> {
    while (this.#toLookAt.size > 0) {
      const asked = [...this.#toLookAt];
      this.#toLookAt.clear();
      const ended = await endedExecutions(this.#options.db, asked);
      this.#options.onEnded(ended);
      await this.#lookForLosers();
    }
  }

  /** Joins fire also in commits of other engines. */
  async #lookForLosers(): Promise<void> {
    const racing = this.#options.racing();
    if (racing.length === 0) return;
    const lost = await lostSteps(this.#options.db, racing);
    if (lost.length > 0) this.#options.onLost(lost);
  }

  /**
   * Searches as soon as an engine is dead and for some rounds more, and regularly besides: a frozen engine
   * may have committed a claim after it was declared dead. The heartbeat does not wait for the search.
   */
  #lookForTheDead(silent: readonly string[]): void {
    const news = silent.some((id) => !this.#silent.has(id));
    this.#silent = new Set(silent);
    this.#untilSearch -= 1;
    this.#alarm = news ? TICKS_OF_ALARM : this.#alarm - 1;
    if (this.#alarm <= 0 && this.#untilSearch > 0) return;
    this.#untilSearch = TICKS_BETWEEN_SEARCHES;
    void this.#rescues.search();
  }

  /** Searches for steps of dead engines now. */
  search(): Promise<void> {
    return this.#rescues.search();
  }

  /** Takes over all steps of dead engines now; resolves when it is done. */
  takeOver(): Promise<void> {
    return this.#rescues.takeOver();
  }
}
