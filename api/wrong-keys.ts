/**
 * The bound on guesses of keys: after 20 wrong keys within a minute an address must wait before further wrong ones are
 * checked. Right keys are not counted here, so others who share the address cannot be shut out.
 *
 * Invariant 1: the memory is bounded for any number of addresses.
 */
import ipaddr from 'ipaddr.js';
import { EngineError } from '../core/problem.ts';

export const MAX_WRONG_KEYS = 20;
const WINDOW_MS = 60_000;
const MAX_ADDRESSES = 10_000;
/** A network that has one of these IPv6 addresses has all of them. */
const OWN_PARTS_OF_IPV6 = 4;

export class WrongKeys {
  readonly #now: () => number;
  /** When the last wrong keys came, by address; the address that was wrong last is the last one. */
  readonly #times = new Map<string, number[]>();

  /** @param now milliseconds of a clock that never goes back */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  get addressCount(): number {
    return this.#times.size;
  }

  /** Counts a wrong key. Throws EngineError `too_many_requests` in place of counting when there were too many. */
  add(address: string | undefined): void {
    const name = nameOf(address);
    const now = this.#now();
    const times = (this.#times.get(name) ?? []).filter((time) => time > now - WINDOW_MS);
    if (times.length >= MAX_WRONG_KEYS) throw tooMany(times[0]! + WINDOW_MS - now);
    times.push(now);
    this.#times.delete(name);
    this.#times.set(name, times);
    this.#forget(now);
  }

  /** Drops the addresses whose last wrong key is past the window, and the oldest ones of too many. */
  #forget(now: number): void {
    for (const [name, times] of this.#times) {
      if (times.at(-1)! > now - WINDOW_MS && this.#times.size <= MAX_ADDRESSES) return;
      this.#times.delete(name);
    }
  }
}

function nameOf(address: string | undefined): string {
  if (address === undefined || !ipaddr.isValid(address)) return '';
  const parsed = ipaddr.process(address);
  if (parsed instanceof ipaddr.IPv4) return parsed.toString();
  return parsed.parts.slice(0, OWN_PARTS_OF_IPV6).join(':');
}

function tooMany(waitMs: number): EngineError {
  const seconds = Math.max(1, Math.ceil(waitMs / 1_000));
  return new EngineError(
    'too_many_requests',
    `${MAX_WRONG_KEYS} wrong keys came from this address within a minute; further wrong ones are not looked at for ${seconds} s. The right key is.`,
    [],
    undefined,
    seconds,
  );
}
