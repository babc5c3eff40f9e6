/**
 * Decides which callbacks are called now: a limited number at a time, and a limited share of them at one receiver, so
 * that a slow receiver delays only its own callbacks.
 *
 * Some wait here for a place at their receiver, for a limited time: a quick receiver is called again at once.
 */

import { Spread } from '../consumer/spread.ts';
import { Places } from './places.ts';

const MAX_CALLS = 96;
const MAX_PER_RECEIVER = 12;
const MAX_WAITING = 32;
const SOONEST_MS = 1_000;
const LATEST_MS = 300_000;

class Receiver {
  readonly places = new Places(MAX_PER_RECEIVER, MAX_WAITING);
  readonly spread = new Spread(SOONEST_MS, LATEST_MS);
  inHand = 0;
}

export class CallbackLines {
  readonly #calls = new Places(MAX_CALLS, Number.POSITIVE_INFINITY);
  readonly #spread = new Spread(SOONEST_MS, LATEST_MS);
  readonly #receivers = new Map<string, Receiver>();
  readonly #waitMs: number;

  /** @param waitMs milliseconds for which a callback may wait for its place */
  constructor(waitMs: number) {
    this.#waitMs = waitMs;
  }

  /** Returns milliseconds after which a callback without a place may find one. */
  pauseMs(): number {
    return this.#spread.next(this.#calls.paceMs);
  }

  /**
   * Calls when there is a place at the receiver. A number: there was none, and there may be after that many
   * milliseconds.
   */
  async call<T>(url: string, call: () => Promise<T>): Promise<{ result: T } | number> {
    const host = URL.parse(url)?.host ?? url;
    const receiver = this.#receivers.get(host) ?? new Receiver();
    this.#receivers.set(host, receiver);
    receiver.inHand += 1;
    try {
      return await this.#callAt(receiver, call);
    } finally {
      receiver.inHand -= 1;
      if (receiver.inHand === 0) this.#receivers.delete(host);
    }
  }

  async #callAt<T>({ places, spread }: Receiver, call: () => Promise<T>): Promise<{ result: T } | number> {
    const leaveReceiver = await places.enter(this.#waitMs);
    if (leaveReceiver === null) return spread.next(places.paceMs);
    const leave = await this.#calls.enter(this.#waitMs);
    try {
      return leave === null ? this.pauseMs() : { result: await call() };
    } finally {
      leave?.();
      leaveReceiver();
    }
  }

  /** Ends the wait of all callbacks without a place. */
  close(): void {
    this.#calls.close();
    for (const { places } of this.#receivers.values()) places.close();
  }
}
