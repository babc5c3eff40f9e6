/**
 * Watches busy step hosts, and ends those that do not answer, take too much memory, or keep running handlers whose
 * result is no longer wanted.
 *
 * A handler whose attempt is over is told, and may take its time as long as it lets its host answer. A handler that
 * never yields can only be ended by ending its host.
 */
import type { StepHost } from './host.ts';

/** In milliseconds. */
export interface WatchTimes {
  /** Between two checks. */
  readonly tick: number;
  /** A host that is silent for longer gets no more runs. */
  readonly stalled: number;
  /** Time that a handler has after its attempt is over, before its silent host is killed. */
  readonly grace: number;
  /** A host that is silent for so long blocks its other runs, and is killed. */
  readonly hung: number;
  /** A host with a handler whose attempt has been over for so long gets no more runs, and is ended when it is empty. */
  readonly abandoned: number;
  readonly start: number;
}

const TIMES: WatchTimes = {
  tick: 250,
  stalled: 2_000,
  grace: 1_000,
  hung: 30_000,
  abandoned: 30_000,
  start: 30_000,
};
/** Multiple of the grace for a silent host that got no processor time. */
const STARVED_FACTOR = 5;

export interface HostWatchOptions {
  hosts(): readonly StepHost[];
  readonly memoryLimit: number | null;
  readonly times: Partial<WatchTimes>;
  /** Returns whether something waits for a host. */
  onTick(): boolean;
}

export class HostWatch {
  readonly #options: HostWatchOptions;
  readonly #times: WatchTimes;
  #ticker: ReturnType<typeof setInterval> | null = null;
  #lastTick = 0;
  #paused = false;
  #stopped = false;

  constructor(options: HostWatchOptions) {
    this.#options = options;
    this.#times = { ...TIMES, ...options.times };
  }

  isStalled(host: StepHost): boolean {
    return host.silentMs > this.#times.stalled;
  }

  /** Checks regularly until no host is busy. */
  keepLooking(): void {
    if (this.#ticker !== null || this.#stopped) return;
    this.#lastTick = performance.now();
    this.#ticker = setInterval(() => this.#tick(), this.#times.tick);
    this.#ticker.unref();
  }

  stop(): void {
    this.#stopped = true;
    this.#rest();
  }

  #rest(): void {
    if (this.#ticker !== null) clearInterval(this.#ticker);
    this.#ticker = null;
  }

  #tick(): void {
    const now = performance.now();
    const late = now - this.#lastTick > 3 * this.#times.tick;
    this.#lastTick = now;
    // After a pause of this process answers may still be unread; they are read before the next tick.
    this.#paused = late && !this.#paused;
    if (this.#paused) return;
    const hosts = this.#options.hosts();
    for (const host of hosts) if (host.killReason === null) this.#look(host, now);
    const isAwaited = this.#options.onTick();
    if (!isAwaited && hosts.every(({ ready, runs }) => ready && runs.size === 0)) this.#rest();
  }

  #look(host: StepHost, now: number): void {
    const { memoryLimit } = this.#options;
    if (!host.ready) {
      if (now - host.startedAt > this.#times.start) host.kill('unstartable');
      return;
    }
    if (host.runs.size === 0) return;
    if (memoryLimit !== null && host.memoryUsed > memoryLimit) host.kill('memory');
    else if (this.#holdsUp(host)) host.kill('hung');
    else this.#lookAtAbandoned(host, now);
    host.ping();
  }

  #holdsUp(host: StepHost): boolean {
    return host.silentMs > this.#times.hung && host.runs.size > 1;
  }

  #lookAtAbandoned(host: StepHost, now: number): void {
    const { grace, abandoned } = this.#times;
    const over = [...host.runs.values()].filter(({ abandonedAt }) => now - (abandonedAt ?? now) > grace);
    if (over.length === 0) return;
    if (host.alone) host.kill('retired');
    else if (over.some(({ hasYielded }) => !hasYielded) && this.#neverYields(host)) host.kill('displaced');
    else if (over.some(({ abandonedAt }) => now - abandonedAt! > abandoned)) {
      host.retired = true;
      if (host.live.length === 0) host.kill('retired');
    }
  }

  #neverYields(host: StepHost): boolean {
    const { silentMs, busyMs } = host;
    const { grace } = this.#times;
    if (silentMs > STARVED_FACTOR * grace) return true;
    return silentMs > grace && (busyMs === null || busyMs > silentMs / 2);
  }
}
