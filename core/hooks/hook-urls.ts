/**
 * The URLs of `webhook` steps.
 */
import { type HookAddress, hookToken, readHookToken } from './token.ts';

/** A webhook step whose URL an expression may read. */
export interface HookRead {
  readonly key: string;
  readonly position: number;
  /** 0: it is in the expression's own scope. */
  readonly up: number;
}

export class HookUrls {
  readonly #key: string;
  readonly #base: string | null;

  /** @param base EXECUTION_ENGINE_PUBLIC_URL; null: not set, so there are no URLs */
  constructor(key: string, base: string | null) {
    this.#key = key;
    this.#base = base;
  }

  of(address: HookAddress): string | null {
    return this.#base === null ? null : `${this.#base}/hooks/${hookToken(this.#key, address)}`;
  }

  /** Returns the step of a token; null: there is none. */
  find(token: string): HookAddress | null {
    return readHookToken(this.#key, token);
  }
}
