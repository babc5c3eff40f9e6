/**
 * Decides which callbacks are called now: a limited number at a time, of which a receiver and a workspace get a limited
 * share each. So a slow receiver delays only its own callbacks, and a workspace with many slow receivers only its own.
 *
 * Some wait here for a place, for a limited time: a quick receiver is called again at once.
 */

import { Spread } from '../consumer/spread.ts';
import { Places } from './places.ts';

const MAX_CALLS = 96;
const MAX_PER_RECEIVER = 12;
/** Once there are several workspaces. */
const MAX_PER_WORKSPACE = 48;
const MAX_WAITING = 32;
const SOONEST_MS = 1_000;
const LATEST_MS = 300_000;

/** A receiver or a workspace. */
class Party {
  readonly places: Places;
  readonly #spread = new Spread(SOONEST_MS, LATEST_MS);
  inHand = 0;

  constructor(most: () => number) {
    this.places = new Places(most, MAX_WAITING);
  }

  /** Goes on when it has a place here. A number: it got none, and may get one after that many milliseconds. */
  async within<R>(waitMs: number, goOn: () => Promise<R>): Promise<R | number> {
    const leave = await this.places.enter(waitMs);
    if (leave === null) return this.#spread.next(this.places.paceMs);
    try {
      return await goOn();
    } finally {
      leave();
    }
  }
}

/** Parties with callbacks in hand, by name. */
class Parties {
  readonly #byName = new Map<string, Party>();
  readonly #most: () => number;

  constructor(most: () => number) {
    this.#most = most;
  }

  enter(name: string): Party {
    const party = this.#byName.get(name) ?? new Party(this.#most);
    this.#byName.set(name, party);
    party.inHand += 1;
    return party;
  }

  leave(name: string, party: Party): void {
    party.inHand -= 1;
    if (party.inHand === 0) this.#byName.delete(name);
  }

  close(): void {
    for (const { places } of this.#byName.values()) places.close();
  }
}

/** Callbacks go to a receiver on behalf of a workspace. */
export interface CallbackRoute {
  readonly url: string;
  readonly workspace: string;
}

export class CallbackLines {
  readonly #calls = new Places(() => MAX_CALLS, Number.POSITIVE_INFINITY);
  readonly #spread = new Spread(SOONEST_MS, LATEST_MS);
  readonly #receivers = new Parties(() => MAX_PER_RECEIVER);
  readonly #workspaces = new Parties(() => (this.#hasOthers ? MAX_PER_WORKSPACE : MAX_CALLS));
  readonly #waitMs: number;
  /** The first that came, and whether others came. */
  #workspace: string | null = null;
  #hasOthers = false;

  /** @param waitMs milliseconds for which a callback may wait for each of its places */
  constructor(waitMs: number) {
    this.#waitMs = waitMs;
  }

  /** Returns milliseconds after which a callback without a place may find one. */
  pauseMs(): number {
    return this.#spread.next(this.#calls.paceMs);
  }

  /**
   * Calls when there is a place at the receiver, for the workspace and in all. A number: there was none, and there may be
   * after that many milliseconds.
   */
  async call<T>({ url, workspace }: CallbackRoute, call: () => Promise<T>): Promise<{ result: T } | number> {
    this.#workspace ??= workspace;
    this.#hasOthers ||= workspace !== this.#workspace;
    const host = URL.parse(url)?.host ?? url;
    const receiver = this.#receivers.enter(host);
    const owner = this.#workspaces.enter(workspace);
    try {
      const callNow = () => this.#call(call);
      return await owner.within(this.#waitMs, () => receiver.within(this.#waitMs, callNow));
    } finally {
      this.#receivers.leave(host, receiver);
      this.#workspaces.leave(workspace, owner);
    }
  }

  async #call<T>(call: () => Promise<T>): Promise<{ result: T } | number> {
    const leave = await this.#calls.enter(this.#waitMs);
    if (leave === null) return this.pauseMs();
    try {
      return { result: await call() };
    } finally {
      leave();
    }
  }

  /** Ends the wait of all callbacks without a place. */
  close(): void {
    this.#calls.close();
    this.#receivers.close();
    this.#workspaces.close();
  }
}
