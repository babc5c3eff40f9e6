/**
 * Waits for a peer's death: each engine watches the next one in the ring of engine ids, blocked on its lease.
 *
 * Only a short cut. The pulse finds the dead as well, up to a second later.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { nextInRing } from './ring.ts';

export interface PeerWatchOptions {
  readonly engineId: string;
  /** Resolves when nobody holds the engine's lease; rejects when it cannot be waited for any more. */
  leaseIsFree(engineId: string, signal: AbortSignal): Promise<void>;
  /** Milliseconds until the engine counts as dead if no heartbeat comes; null: it said goodbye. */
  msUntilLate(engineId: string): Promise<number | null>;
  /** Takes over what dead engines hold. */
  takeOver(): Promise<void>;
  onError(error: unknown): void;
}

/** Before a lease is waited for again that is free although its engine lives. */
const PAUSE_MS = 1_000;
/** The clock that counts is the database's. */
const SLACK_MS = 5;

export class PeerWatch {
  readonly #options: PeerWatchOptions;
  #target: string | null = null;
  #watching = new AbortController();

  constructor(options: PeerWatchOptions) {
    this.#options = options;
  }

  /** Watches the one of these engines whose turn it is, and no other. */
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
    const { leaseIsFree, msUntilLate, takeOver } = this.#options;
    await leaseIsFree(target, signal);
    const ms = await msUntilLate(target);
    if (ms === null || signal.aborted) return;
    await delay(ms + SLACK_MS, undefined, { signal, ref: false });
    await takeOver();
  }
}
