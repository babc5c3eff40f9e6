/**
 * Once a second: sends the heartbeat, and looks for work without a notification: due jobs, dead peers,
 * executions that were ended elsewhere.
 *
 * `tick()` is public and runs one round; the loop only calls it.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Db } from '../db/connection/client.ts';
import { isUnavailable } from '../db/connection/session.ts';
import {
  type EngineRow,
  endedExecutions,
  forgetEngines,
  type OwnedStep,
  pulse,
  registerEngine,
  stepsOfTheDead,
} from '../db/engine.ts';
import type { SignsOfLife } from '../db/engine-alive.ts';
import { Periodic } from '../process/periodic.ts';
import { turnAt } from './ring.ts';
import type { StallWatch } from './stall-watch.ts';

export interface PulseLoopOptions {
  readonly db: Db;
  readonly engine: EngineRow;
  /** The rules for judging which engines are alive. */
  readonly signs: SignsOfLife;
  /** The qualified name of pg-boss's job table. */
  readonly jobTable: string;
  runningCount(): number;
  /** Returns whether this engine holds its lease. */
  hasLease(): boolean;
  /** Executions of which this process runs steps or has waiters. */
  watched(): readonly string[];
  /** Jobs are due in the queues. */
  onJobs(): void;
  /** Watched executions that are final or being stopped. */
  onEnded(executionIds: readonly string[]): void;
  /** Ids of the other live engines, after each round. */
  onPeers(ids: readonly string[]): void;
  /** The database has received no heartbeat for so long that this engine's steps may have been taken over. */
  onSilence(ms: number): void;
  /** Found steps whose owners are dead. */
  onOrphans(steps: readonly OwnedStep[]): void;
  /** Templates whose steps this engine cannot take over. */
  unreadable(): readonly string[];
  /** Takes over a step whose owner is dead. */
  rescue(step: OwnedStep): Promise<void>;
  /** Gives back steps that this engine owns by their rows but does not run. */
  releaseUnknown(): Promise<void>;
  onError(error: unknown): void;
}

const INTERVAL_MS = 1_000;
/** Pause after a failed heartbeat: short, so that a recovered engine is not declared dead. */
const AFTER_FAILURE_MS = 250;
const MAX_RESCUED = 1_000;
const TICKS_BETWEEN_RESCUES = 10;
/** Head start for each earlier engine in the ring. */
const TURN_MS = 400;
const MAX_TURNS = 3;
/** A locked execution, whose lock holder may be frozen, must not delay the search for others. */
const LOCKED_MS = 1_000;
/** Rounds of extra searches: a statement sent by a dead engine may still commit a while after its end. */
const TICKS_OF_ALARM = 5;
/** Peers may declare an engine dead after a longer silence, when its lease was lost too (engine-alive.ts). */
const SILENT_MS = 4_000;

export class PulseLoop {
  readonly #options: PulseLoopOptions;
  #stalls: Pick<StallWatch, 'round'> | null = null;
  readonly #rounds: Periodic;
  #open = true;
  /** Null until the first round has ended. */
  #peers: readonly string[] | null = null;
  #silent: ReadonlySet<string> = new Set();
  #untilRescue = 0;
  #alarm = 0;
  #rescuing: Promise<void> | null = null;
  /** Aborted when this engine may take over without waiting for the turns of others. */
  #waiting = new AbortController();
  /** Rescues in progress, by step id. */
  readonly #inRescue = new Map<string, Promise<void>>();
  readonly #toLookAt = new Set<string>();
  #looking: Promise<void> | null = null;
  #lastBeatAt = performance.now();

  constructor(options: PulseLoopOptions) {
    this.#options = options;
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

  async close(): Promise<void> {
    this.#open = false;
    await this.#rounds.close();
    this.#waiting.abort();
    await this.#rescuing;
    await this.#looking;
  }

  async tick(): Promise<void> {
    const { db, engine, jobTable, runningCount, hasLease, watched, signs } = this.#options;
    const beat = { id: engine.id, runningCount: runningCount(), hasLease: hasLease() };
    const seen = await pulse(db, beat, jobTable, watched(), signs);
    if (this.silentMs > SILENT_MS) this.#options.onSilence(this.silentMs);
    this.#lastBeatAt = performance.now();
    this.#peers = seen.peers;
    this.#options.onPeers(seen.peers);
    if (!seen.registered) await registerEngine(db, engine);
    if (seen.ended.length > 0) this.#options.onEnded(seen.ended);
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
      if (ended.length > 0) this.#options.onEnded(ended);
    }
  }

  /**
   * Searches as soon as an engine is dead and for some rounds more, and regularly besides: a frozen engine
   * may have committed a claim after it was declared dead. The heartbeat does not wait for the search.
   */
  #lookForTheDead(silent: readonly string[]): void {
    const news = silent.some((id) => !this.#silent.has(id));
    this.#silent = new Set(silent);
    this.#untilRescue -= 1;
    this.#alarm = news ? TICKS_OF_ALARM : this.#alarm - 1;
    if (this.#rescuing !== null || (this.#alarm <= 0 && this.#untilRescue > 0)) return;
    this.#beginRescue();
  }

  /** Searches for steps of dead engines now; resolves when all that were found are taken over. */
  async takeOver(): Promise<void> {
    this.#waiting.abort();
    await this.#rescuing;
    await (this.#rescuing ?? this.#beginRescue());
    await Promise.all(this.#inRescue.values());
  }

  #beginRescue(): Promise<void> {
    this.#untilRescue = TICKS_BETWEEN_RESCUES;
    this.#rescuing = this.#rescue()
      .catch((error) => {
        this.#untilRescue = 0;
        this.#options.onError(error);
      })
      .finally(() => {
        this.#rescuing = null;
      });
    return this.#rescuing;
  }

  /**
   * Takes over at once the steps of the engine that this one watched. Steps that are another engine's turn are taken
   * when they are still there a while later: engines that rescue the same steps at once block each other.
   */
  async #rescue(): Promise<void> {
    const { db, releaseUnknown } = this.#options;
    this.#waiting = new AbortController();
    const { signal } = this.#waiting;
    for (let turn = 0; ; turn += 1) {
      const found = await this.#stepsOfTheDead();
      const isLast = turn === MAX_TURNS || signal.aborted;
      const due = isLast ? found : found.filter((step) => this.#turnAt(step) <= turn);
      await this.#rescueAll(due);
      if (found.length === MAX_RESCUED) this.#untilRescue = 0;
      if (due.length === found.length || !this.#open) break;
      await delay(TURN_MS, undefined, { signal, ref: false }).catch(() => {});
    }
    if (this.#untilRescue > 0) await forgetEngines(db);
    await releaseUnknown();
  }

  /** Leaves out steps whose rescue is in progress. */
  async #stepsOfTheDead(): Promise<OwnedStep[]> {
    const { db, engine, unreadable, signs } = this.#options;
    const limit = MAX_RESCUED + this.#inRescue.size;
    const found = await stepsOfTheDead(db, { self: engine.id, limit, exceptTemplates: unreadable() }, signs);
    return found.filter(({ id }) => !this.#inRescue.has(id)).slice(0, MAX_RESCUED);
  }

  #turnAt({ owner }: OwnedStep): number {
    return turnAt(this.#options.engine.id, this.#peers ?? [], owner);
  }

  /** Rescues go through the door, guarded by the claim: of two rescuers one is late and changes nothing. */
  async #rescueAll(steps: readonly OwnedStep[]): Promise<void> {
    if (steps.length === 0) return;
    this.#options.onOrphans(steps);
    const rescues = steps.map((step) => this.#rescueOne(step));
    const locked = new AbortController();
    await Promise.race([
      Promise.all(rescues),
      delay(LOCKED_MS, undefined, { signal: locked.signal, ref: false }).catch(() => {}),
    ]);
    locked.abort();
  }

  /** A failed rescue does not stop the others. */
  #rescueOne(step: OwnedStep): Promise<void> {
    const { rescue, onError } = this.#options;
    const rescued = rescue(step)
      .catch((error) => {
        if (isUnavailable(error)) this.#untilRescue = 0;
        onError(error);
      })
      .finally(() => this.#inRescue.delete(step.id));
    this.#inRescue.set(step.id, rescued);
    return rescued;
  }
}
