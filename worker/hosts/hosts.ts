/**
 * The step hosts of an engine: separate processes for handlers that the engine does not trust within its own process.
 *
 * Shared hosts run many handlers each, and are started when needed; workspaces take turns (choice.ts). A step whose process has died twice runs
 * alone in a host of its own: when that dies too, the step is to blame.
 *
 * Not here: the messages of a host (host.ts) and when it must end (watch.ts).
 *
 * Invariant 1: every run is settled once: with its handler's end, or lost with its host. A run that the engine has
 * abandoned is settled only by its handler's end.
 * Invariant 2: a run is lost only after its handler was about to be called; until then it moves to another host.
 * Invariant 3: while no host can be started no run waits here: runs are given back, for engines that can.
 */
import { TurnQueue } from '../../core/fairness/turn-queue.ts';
import type { Exit } from '../../process/framed-process.ts';
import type { StepFailure } from '../../steps/step-type.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Outcome } from '../outcome.ts';
import { type HostChoice, hostFor } from './choice.ts';
import { StepHost } from './host.ts';
import { endOf, logEnd, logInOrder, logOutOfOrder, logOutput, poisoned, unavailable } from './host-end.ts';
import { type HostedCall, HostedRun } from './run.ts';
import { HostWatch, type WatchTimes } from './watch.ts';
import type { HostSetup } from './wire.ts';

export interface StepHostsOptions {
  readonly setup: HostSetup;
  /** Number of shared hosts; two more while some do not answer. */
  readonly size: number;
  readonly memoryLimit: number | null;
  readonly log: Log;
  readonly times?: Partial<WatchTimes>;
}

const SPARE = 2;
/** Most steps that run alone at a time; more wait. */
const MAX_ALONE = 16;
const MAX_FAILED_STARTS = 3;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 10_000;
const MAX_UNBEGUN_DEATHS = 3;
const CLOSES_WITHIN_MS = 1_000;
const WARM_AFTER_MS = 1_000;

export class StepHosts {
  readonly #options: StepHostsOptions;
  readonly #shared = new Set<StepHost>();
  readonly #alone = new Map<StepHost, HostedRun>();
  readonly #watch: HostWatch;
  /** Workspaces take turns. */
  readonly #waiting = new TurnQueue<HostedRun>();
  readonly #waitingAlone = new TurnQueue<HostedRun>();
  /** The first that came, and whether others came. */
  #workspace: string | null = null;
  #hasOthers = false;
  #lastId = 0;
  #failedStarts = 0;
  #toldOutOfOrder = false;
  /** Time of performance.now(). */
  #nextStartAt = 0;
  #closed: (() => void) | null = null;
  #warming: ReturnType<typeof setTimeout> | undefined;

  constructor(options: StepHostsOptions) {
    this.#options = options;
    this.#watch = new HostWatch({
      hosts: () => [...this.#shared, ...this.#alone.keys()],
      memoryLimit: options.memoryLimit,
      times: options.times ?? {},
      // A host that does not answer may hold work that another one could do.
      onTick: () => {
        this.#assign();
        if (this.#toldOutOfOrder && this.areUsable) logInOrder(this.#options.log);
        this.#toldOutOfOrder &&= !this.areUsable;
        return this.#waiting.size + this.#waitingAlone.size > 0 || !this.areUsable;
      },
    });
  }

  /** Rejects with what the handler threw. */
  run(call: HostedCall): Promise<Outcome> {
    const run = new HostedRun(++this.#lastId, call);
    this.#workspace ??= call.workspace;
    this.#hasOthers ||= call.workspace !== this.#workspace;
    // Waiting for a process does not count as the step's time.
    call.attempt.pauseTimeouts();
    call.attempt.remote = {
      aborted: (reason) => this.#abort(run, reason),
      finished: () => this.#abandon(run),
      ping: () => this.#hostOf(run)?.ping(),
      isHeldUp: () => this.#hostOf(run)?.isHeldUpBeside(run) === true,
    };
    if (this.areUsable) this.#lineUp(run);
    else run.lose('release');
    this.#assign();
    return run.outcome;
  }

  /** False while there is no host and none can be started. */
  get areUsable(): boolean {
    return (
      this.#failedStarts < MAX_FAILED_STARTS ||
      [...this.#shared].some((host) => host.ready && this.#isUsable(host))
    );
  }

  /**
   * Starts the first shared host in a while, so that a step that comes later need not wait for it. An engine that has just
   * begun has other things to do; a step that comes earlier starts one.
   */
  warmSoon(): void {
    this.#warming = setTimeout(() => {
      if (this.#shared.size === 0) this.#startShared();
    }, WARM_AFTER_MS);
    this.#warming.unref();
  }

  /** Ids of the processes that are up or starting, for diagnosis. */
  processIds(): number[] {
    return [...this.#shared, ...this.#alone.keys()].flatMap(({ pid }) => (pid === null ? [] : [pid]));
  }

  /** Ends all hosts; handlers still running in them are ignored. */
  async close(): Promise<void> {
    const hosts = [...this.#shared, ...this.#alone.keys()];
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#closed = resolve;
    this.#waiting.clear();
    this.#waitingAlone.clear();
    this.#watch.stop();
    clearTimeout(this.#warming);
    if (hosts.length === 0) return;
    for (const host of hosts) host.dismiss();
    const timer = setTimeout(() => {
      for (const host of hosts) host.kill('retired');
    }, CLOSES_WITHIN_MS);
    await promise;
    clearTimeout(timer);
  }

  #lineUp(run: HostedRun, first = false): void {
    (run.isAlone ? this.#waitingAlone : this.#waiting).push(run.workspace, run, first);
  }

  #assign(): void {
    if (this.#closed !== null) return;
    const choice = this.#choice();
    const isServed = (workspace: string) => hostFor(workspace, choice) !== null;
    for (let run = this.#waiting.pop(isServed); run !== undefined; run = this.#waiting.pop(isServed))
      hostFor(run.workspace, choice)!.run(run);
    this.#growIfNeeded();
    while (this.#waitingAlone.size > 0 && this.#alone.size < MAX_ALONE && this.#mayStart())
      this.#startAlone(this.#waitingAlone.pop()!);
    this.#watch.keepLooking();
  }

  #isUsable(host: StepHost): boolean {
    return !host.retired && !this.#watch.isStalled(host);
  }

  #choice(): HostChoice {
    const usable = this.#usable();
    const isStarting = usable.some(({ ready }) => !ready);
    return {
      hosts: this.#shared,
      share: this.#hasOthers ? Math.max(1, this.#options.size - 1) : Number.POSITIVE_INFINITY,
      mayGrow: this.#failedStarts === 0 && (isStarting || this.#hasRoomBeside(usable)),
      isUsable: (host) => this.#isUsable(host),
    };
  }

  /** Returns whether there may be one more host. */
  #hasRoomBeside(usable: readonly StepHost[]): boolean {
    const { size } = this.#options;
    return usable.length < size && this.#shared.size < size + SPARE;
  }

  #usable(): StepHost[] {
    return [...this.#shared].filter((host) => this.#isUsable(host));
  }

  #growIfNeeded(): void {
    const usable = this.#usable();
    if (usable.some(({ ready }) => !ready)) return;
    const isBusy = usable.every(({ isBusy }) => isBusy);
    const isWanted = this.#waiting.size > 0 || !this.areUsable || (this.#shared.size > 0 && isBusy);
    if (isWanted && this.#mayStart() && this.#hasRoomBeside(usable)) this.#startShared();
  }

  /** Returns whether the pause after a failed start is over. */
  #mayStart(): boolean {
    return performance.now() >= this.#nextStartAt;
  }

  #startShared(): void {
    const host = this.#start(false);
    if (host !== null) this.#shared.add(host);
  }

  #startAlone(run: HostedRun): void {
    const host = this.#start(true);
    if (host !== null) this.#alone.set(host, run);
    else if (this.areUsable) this.#lineUp(run, true);
    else run.lose('release');
  }

  #start(alone: boolean): StepHost | null {
    try {
      const host = new StepHost({
        setup: this.#options.setup,
        alone,
        memoryLimit: this.#options.memoryLimit,
        onReady: (ready) => this.#onReady(ready),
        onSettled: (settled) => this.#onSettled(settled),
        onOutput: (from, text, stream) => logOutput(this.#options.log, from, text, stream),
        onClose: (gone, exit) => this.#onClose(gone, exit),
      });
      this.#watch.keepLooking();
      return host;
    } catch (error) {
      this.#onFailedStart(error instanceof Error ? error.message : String(error));
      return null;
    }
  }

  #onReady(host: StepHost): void {
    this.#failedStarts = 0;
    const run = this.#alone.get(host);
    if (run !== undefined) host.run(run);
    this.#assign();
  }

  #onSettled(host: StepHost): void {
    if (this.#alone.has(host)) {
      this.#alone.delete(host);
      host.kill('retired');
      this.#assign();
    } else if (host.retired && host.live.length === 0) host.kill('retired');
  }

  #abort(run: HostedRun, reason: StepFailure): void {
    const host = this.#hostOf(run);
    if (host !== null) {
      host.abort(run, reason);
      return;
    }
    // The run is still waiting for a process.
    this.#forget(run);
    run.fail(reason);
  }

  /** The attempt is over; its handler may still run. */
  #abandon(run: HostedRun): void {
    if (run.settled || run.abandonedAt !== null) return;
    run.abandonedAt = performance.now();
    run.endScripts();
    const host = this.#hostOf(run);
    if (host === null) this.#forget(run);
    else host.ping();
  }

  #hostOf(run: HostedRun): StepHost | null {
    for (const host of this.#shared) if (host.runs.get(run.id) === run) return host;
    for (const host of this.#alone.keys()) if (host.runs.get(run.id) === run) return host;
    return null;
  }

  #forget(run: HostedRun): void {
    for (const line of [this.#waiting, this.#waitingAlone]) line.keep((other) => other !== run);
    for (const [host, other] of this.#alone) if (other === run) host.kill('retired');
  }

  #onClose(host: StepHost, exit: Exit): void {
    const own = this.#alone.get(host);
    this.#shared.delete(host);
    this.#alone.delete(host);
    if (this.#closed !== null) {
      if (this.#shared.size + this.#alone.size === 0) this.#closed();
      return;
    }
    const lost = host.live;
    if (!host.ready && own !== undefined && !lost.includes(own) && own.abandonedAt === null) lost.push(own);
    // A failure to start is logged once.
    const isNews = host.ready || !this.#toldOutOfOrder;
    if (isNews && (host.killReason !== 'retired' || lost.length > 0))
      logEnd(this.#options.log, host, exit, { lost, over: host.over });
    for (const run of lost) {
      if (run.begun) this.#lose(run, host, exit, own !== undefined);
      else this.#moveOn(run, host, exit);
    }
    if (!host.ready && host.killReason !== 'retired') this.#onFailedStart(host.broken ?? endOf(host, exit));
    this.#assign();
  }

  #lose(run: HostedRun, host: StepHost, exit: Exit, alone: boolean): void {
    if (!alone || host.killReason === 'displaced')
      run.lose(host.killReason === 'displaced' ? 'displace' : 'rescue');
    else run.fail(poisoned(run, host, exit));
  }

  /** The handler was not called: the run goes to another host. */
  #moveOn(run: HostedRun, host: StepHost, exit: Exit): void {
    // A host that could not even be started was not ended by its run.
    if (host.ready) run.unbegunDeaths += 1;
    if (run.unbegunDeaths < MAX_UNBEGUN_DEATHS) this.#lineUp(run);
    else run.fail(unavailable(endOf(host, exit)));
  }

  #onFailedStart(why: string): void {
    this.#failedStarts += 1;
    const pause = Math.min(FIRST_PAUSE_MS * 2 ** this.#failedStarts, LONGEST_PAUSE_MS);
    this.#nextStartAt = performance.now() + pause;
    if (this.#failedStarts < MAX_FAILED_STARTS) return;
    const alone = this.#waitingAlone.clear();
    if (this.areUsable) {
      // One host alone starts, but no second beside it: its modules need something exclusive.
      for (const run of alone) run.fail(unavailable(why));
      return;
    }
    if (!this.#toldOutOfOrder) logOutOfOrder(this.#options.log, why);
    this.#toldOutOfOrder = true;
    for (const run of [...this.#waiting.clear(), ...alone]) run.lose('release');
  }
}
