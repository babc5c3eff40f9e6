/**
 * Once a second: say that this engine is alive, and look for what nobody told it: due jobs, dead peers,
 * executions that were ended elsewhere.
 *
 * `tick()` is public and does one round; the loop only calls it.
 */
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
import type { StallWatch } from './stall-watch.ts';

export interface PulseLoopOptions {
  readonly db: Db;
  readonly engine: EngineRow;
  /** How it is told who is alive. */
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
  unread(): readonly string[];
  /** A step whose owner is dead. */
  rescue(step: OwnedStep): Promise<void>;
  /** Gives back steps that this engine holds by their rows and knows nothing of. */
  releaseUnknown(): Promise<void>;
  onError(error: unknown): void;
}

const INTERVAL_MS = 1_000;
const MAX_RESCUED = 1_000;
const TICKS_BETWEEN_RESCUES = 10;
/** A statement that a dead engine had sent may still commit for a while after its end. */
const TICKS_OF_ALARM = 5;
/** Others may take an engine for dead that is silent for longer, when its lease was lost too (engine-alive.ts). */
const SILENT_MS = 4_000;
/** Where sessions do not tell it: how long this engine must have been heard before it judges others. */
const SETTLED_MS = 5_000;

export class PulseLoop {
  readonly #options: PulseLoopOptions;
  #stalls: Pick<StallWatch, 'round'> | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #ticking: Promise<void> = Promise.resolve();
  #open = true;
  #peerCount: number | null = null;
  #silent: ReadonlySet<string> = new Set();
  #untilRescue = 0;
  #alarm = 0;
  #rescuing: Promise<void> | null = null;
  readonly #toLookAt = new Set<string>();
  #looking: Promise<void> | null = null;
  #lastBeatAt = performance.now();
  /** The first heartbeat after the last gap. */
  #heardSince: number | null = null;

  constructor(options: PulseLoopOptions) {
    this.#options = options;
  }

  /** Hears of each heartbeat that was answered. */
  useStallWatch(stalls: Pick<StallWatch, 'round'>): void {
    this.#stalls = stalls;
  }

  /** Until the first round nobody knows: better to notify in vain. */
  get hasPeers(): boolean {
    return this.#peerCount !== 0;
  }

  /** Milliseconds since the database last heard from this engine. */
  get silentMs(): number {
    return performance.now() - this.#lastBeatAt;
  }

  start(): void {
    const round = async () => {
      if (!this.#open) return;
      this.#ticking = this.tick().catch((error) => this.#options.onError(error));
      await this.#ticking;
      if (this.#open) this.#timer = setTimeout(round, INTERVAL_MS);
    };
    round();
  }

  async close(): Promise<void> {
    this.#open = false;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#ticking;
    await this.#rescuing;
    await this.#looking;
  }

  async tick(): Promise<void> {
    const { db, engine, jobTable, runningCount, hasLease, watched, signs } = this.#options;
    const beat = { id: engine.id, runningCount: runningCount(), hasLease: hasLease() };
    const seen = await pulse(db, beat, jobTable, watched(), signs);
    if (this.silentMs > (signs.longestGapMs ?? Number.POSITIVE_INFINITY)) this.#heardSince = null;
    this.#heardSince ??= performance.now();
    if (this.silentMs > SILENT_MS) this.#options.onSilence(this.silentMs);
    this.#lastBeatAt = performance.now();
    this.#peerCount = seen.peers.length;
    this.#options.onPeers(seen.peers);
    if (!seen.registered) await registerEngine(db, engine);
    if (seen.ended.length > 0) this.#options.onEnded(seen.ended);
    this.#lookForTheDead(this.#mayJudge ? seen.deadEngines : []);
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
    await this.#rescuing;
    await (this.#rescuing ?? this.#beginRescue());
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
   * A restart of the database holds up every heartbeat: whoever is back first gives the others time to come back too.
   * The database says so itself of a session that lasts.
   */
  get #mayJudge(): boolean {
    if (this.#options.signs.longestGapMs === null) return true;
    return this.#heardSince !== null && performance.now() - this.#heardSince >= SETTLED_MS;
  }

  /** Rescues go through the door, guarded by the claim: of two rescuers one is late. */
  async #rescue(): Promise<void> {
    const { db, engine, onOrphans, onError, unread, rescue, releaseUnknown, signs } = this.#options;
    const asked = { self: engine.id, limit: MAX_RESCUED, exceptTemplates: unread() };
    const steps = this.#mayJudge ? await stepsOfTheDead(db, asked, signs) : [];
    if (steps.length > 0) onOrphans(steps);
    // One that cannot be taken over keeps nobody from the others.
    const outcomes = await Promise.allSettled(steps.map(rescue));
    const reasons = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []));
    for (const reason of reasons) onError(reason);
    const failed = reasons.some(isUnavailable);
    if (steps.length === MAX_RESCUED || failed) this.#untilRescue = 0;
    else await forgetEngines(db);
    await releaseUnknown();
  }
}
