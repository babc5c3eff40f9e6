/**
 * Looks after step hosts while something runs in them: which one does not answer, takes too much memory, or holds on
 * to handlers that nobody waits for.
 *
 * A handler whose attempt is over is told, and may take its time as long as it lets its host answer. One that never
 * yields costs its host: that is the only way to end it.
 */
import type { StepHost } from './host.ts';

/** In milliseconds. */
export interface WatchTimes {
  /** Between two looks. */
  readonly tick: number;
  /** A host that is silent for longer gets nothing more to do. */
  readonly stalled: number;
  /** What a handler that is over has before its host is killed, when the host is silent. */
  readonly grace: number;
  /** A host that is silent for so long holds up what else is in it, and is killed. */
  readonly hung: number;
  /** A host with a handler that is over for so long gets nothing more to do, and is ended when it is done. */
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
/** A host that got no processor time may be silent for so many times the grace. */
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

  /** Looks from time to time until no host has anything to do. */
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
    // After a pause of this process answers may lie unread; they come before the next tick.
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
