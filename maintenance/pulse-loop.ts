/**
 * Once a second: say that this engine is alive, and look for what nobody told it: due jobs, dead peers,
 * executions that were ended elsewhere.
 *
 * `tick()` is public and does one round; the loop only calls it.
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
import { turnAt } from './ring.ts';
import type { StallWatch } from './stall-watch.ts';

export interface PulseLoopOptions {
  readonly db: Db;
  readonly engine: EngineRow;
  /** How it is told who is alive, and who may say so. */
  readonly signs: SignsOfLife;
  /** The qualified name of pg-boss's job table. */
  readonly jobTable: string;
  runningCount(): number;
  /** Whether this engine holds its lease. */
  hasLease(): boolean;
  /** Executions this process runs steps of or has waiters for. */
  watched(): readonly string[];
  /** Jobs are due in the queues. */
  onJobs(): void;
  /** Watched executions that are final or being stopped. */
  onEnded(executionIds: readonly string[]): void;
  /** Which other engines are alive, after each round. */
  onPeers(ids: readonly string[]): void;
  /** The database has not heard from this engine for so long that its steps may have been taken over. */
  onSilence(ms: number): void;
  /** Steps whose owners are dead were found. */
  onOrphans(steps: readonly OwnedStep[]): void;
  /** Templates whose steps this engine cannot take over. */
  unreadable(): readonly string[];
  /** Takes over a step whose owner is dead. */
  rescue(step: OwnedStep): Promise<void>;
  /** Gives back steps that this engine holds by their rows and knows nothing of. */
  releaseUnknown(): Promise<void>;
  onError(error: unknown): void;
}

const INTERVAL_MS = 1_000;
/** After a heartbeat that failed: an engine that is soon back is not taken for dead. */
const AFTER_FAILURE_MS = 250;
const MAX_RESCUED = 1_000;
const TICKS_BETWEEN_RESCUES = 10;
/** What one engine takes over is left to it for this long by the next. */
const TURN_MS = 400;
const MAX_TURNS = 3;
/** An execution that somebody has locked, who may be frozen, keeps no other from being looked for. */
const LOCKED_MS = 1_000;
/** A statement that a dead engine had sent may still commit for a while after its end. */
const TICKS_OF_ALARM = 5;
/** Others may take an engine for dead that is silent for longer, when its lease was lost too (engine-alive.ts). */
const SILENT_MS = 4_000;

export class PulseLoop {
  readonly #options: PulseLoopOptions;
  #stalls: Pick<StallWatch, 'round'> | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #ticking: Promise<void> = Promise.resolve();
  #open = true;
  /** Null: no round has ended yet. */
  #peers: readonly string[] | null = null;
  #silent: ReadonlySet<string> = new Set();
  #untilRescue = 0;
  #alarm = 0;
  #rescuing: Promise<void> | null = null;
  /** Aborted: the turns of others are over. */
  #waiting = new AbortController();
  /** Steps whose rescue is on its way, by their ids. */
  readonly #inRescue = new Map<string, Promise<void>>();
  readonly #toLookAt = new Set<string>();
  #looking: Promise<void> | null = null;
  #lastBeatAt = performance.now();

  constructor(options: PulseLoopOptions) {
    this.#options = options;
  }

  /** Hears of each heartbeat that was answered. */
  useStallWatch(stalls: Pick<StallWatch, 'round'>): void {
    this.#stalls = stalls;
  }

  /** Until the first round nobody knows: better to notify in vain. */
  get hasPeers(): boolean {
    return this.#peers?.length !== 0;
  }

  /** Milliseconds since the database last heard from this engine. */
  get silentMs(): number {
    return performance.now() - this.#lastBeatAt;
  }

  start(): void {
    const round = async () => {
      if (!this.#open) return;
      let pauseMs = INTERVAL_MS;
      this.#ticking = this.tick().catch((error) => {
        pauseMs = AFTER_FAILURE_MS;
        this.#options.onError(error);
      });
      await this.#ticking;
      if (this.#open) this.#timer = setTimeout(round, pauseMs);
    };
    round();
  }

  async close(): Promise<void> {
    this.#open = false;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#ticking;
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
   * @param named those that somebody said it of; null: it may be any
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
   * As soon as an engine is dead and some rounds more, and every so often whatever the list says: a frozen engine
   * may have committed a claim after it was given up. The heartbeat does not wait for what is found.
   */
  #lookForTheDead(silent: readonly string[]): void {
    const news = silent.some((id) => !this.#silent.has(id));
    this.#silent = new Set(silent);
    this.#untilRescue -= 1;
    this.#alarm = news ? TICKS_OF_ALARM : this.#alarm - 1;
    if (this.#rescuing !== null || (this.#alarm <= 0 && this.#untilRescue > 0)) return;
    this.#beginRescue();
  }

  /** Looks for the dead now, whatever the list says; resolves when what was found is taken over. */
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
   * What this engine watched it takes over at once. What is another's turn it takes when that is still there a while
   * later: several that rescue the same steps at once hold each other up.
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

  /** Without those whose rescue is on its way. */
  async #stepsOfTheDead(): Promise<OwnedStep[]> {
    const { db, engine, unreadable, signs } = this.#options;
    const limit = MAX_RESCUED + this.#inRescue.size;
    const found = await stepsOfTheDead(db, { self: engine.id, limit, exceptTemplates: unreadable() }, signs);
    return found.filter(({ id }) => !this.#inRescue.has(id)).slice(0, MAX_RESCUED);
  }

  #turnAt({ owner }: OwnedStep): number {
    return turnAt(this.#options.engine.id, this.#peers ?? [], owner);
  }

  /** Rescues go through the door, guarded by the claim: of two rescuers one is late. */
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

  /** One that cannot be taken over keeps nobody from the others. */
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
