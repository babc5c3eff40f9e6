/**
 * Waits for a peer's death: each engine watches the next one in the ring of engine ids, by waiting for its lease.
 *
 * Only a shortcut: the pulse finds dead engines as well, up to a second later.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { nextInRing } from './ring.ts';

export interface PeerWatchOptions {
  readonly engineId: string;
  /** Resolves when the engine's lease is free; rejects when waiting is no longer possible. */
  leaseIsFree(engineId: string, signal: AbortSignal): Promise<void>;
  /** Milliseconds until the engine counts as dead if no heartbeat comes; null: it unregistered. */
  msUntilLate(engineId: string): Promise<number | null>;
  /** Searches for steps of dead engines, to take them over. */
  search(): Promise<void>;
  onError(error: unknown): void;
}

/** Pause before waiting again for a lease that is free although its engine is alive. */
const PAUSE_MS = 1_000;
/** Added because the database's clock decides. */
const SLACK_MS = 5;

export class PeerWatch {
  readonly #options: PeerWatchOptions;
  #target: string | null = null;
  #watching = new AbortController();

  constructor(options: PeerWatchOptions) {
    this.#options = options;
  }

  /** Watches the peer whose turn it is, and only that one. */
  watch(peers: readonly string[]): void {
    const target = nextInRing(this.#options.engineId, peers);
    if (target === this.#target) return;
    this.#watching.abort();
    this.#target = target;
    if (target === null) return;
    this.#watching = new AbortController();
    this.#follow(target, this.#watching.signal);
  }

  close(): void {
    this.watch([]);
  }

  async #follow(target: string, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#waitForDeath(target, signal);
        await delay(PAUSE_MS, undefined, { signal, ref: false });
      } catch (error) {
        if (signal.aborted) return;
        this.#options.onError(error);
        await delay(PAUSE_MS, undefined, { ref: false });
      }
    }
  }

  async #waitForDeath(target: string, signal: AbortSignal): Promise<void> {
    const { leaseIsFree, msUntilLate, search } = this.#options;
    await leaseIsFree(target, signal);
    const ms = await msUntilLate(target);
    if (ms === null || signal.aborted) return;
    await delay(ms + SLACK_MS, undefined, { signal, ref: false });
    await search();
  }
}
