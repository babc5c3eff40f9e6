/**
 * Takes the steps of dead engines over: searches for them, and rescues each of them in the turn of this engine.
 *
 * A search waits for no rescue, so an engine that dies while the steps of another one are being rescued is found at
 * once, also when an execution stays locked.
 */
import type { Db } from '../db/connection/client.ts';
import { isUnavailable } from '../db/connection/session.ts';
import { forgetEngines, type OwnedStep, stepsOfTheDead } from '../db/engine.ts';
import type { SignsOfLife } from '../db/engine-alive.ts';
import { turnAt } from './ring.ts';

export interface RescuesOptions {
  /** The session of the heartbeats. */
  readonly db: Db;
  readonly engineId: string;
  /** The rules for judging which engines are alive. */
  readonly signs: SignsOfLife;
  /** Ids of the other live engines. */
  peers(): readonly string[];
  /** Found steps whose owners are dead. */
  onOrphans(steps: readonly OwnedStep[]): void;
  /** Templates whose steps this engine cannot take over. */
  unreadable(): readonly string[];
  /** Takes over a step whose owner is dead. */
  rescue(step: OwnedStep): Promise<void>;
  /** Gives back steps that this engine owns by their rows but does not run. */
  releaseUnknown(): Promise<void>;
  onError(error: unknown): void;
}

const MAX_FOUND = 1_000;
/** Head start for each earlier engine in the ring. */
const TURN_MS = 400;
const MAX_TURNS = 3;
/** Pause after a search that found as much as it may, or that failed. */
const SOON_MS = 250;
/** The part of the time that thorough searches may take: they read what is open, and there may be much of it. */
const THOROUGH_SHARE = 0.01;

export class Rescues {
  readonly #options: RescuesOptions;
  #open = true;
  #search: Promise<void> | null = null;
  #isAskedAgain = false;
  #next: { readonly at: number; readonly timer: ReturnType<typeof setTimeout> } | null = null;
  #tidying: Promise<void> | null = null;
  /** When a search may be thorough again, of performance.now(). */
  #thoroughAt = Number.NEGATIVE_INFINITY;
  /** When steps of an owner were first found, of performance.now(): turns are counted from then. */
  readonly #foundAt = new Map<string, number>();
  /** Rescues in progress, by step id. */
  readonly #inRescue = new Map<string, Promise<void>>();

  constructor(options: RescuesOptions) {
    this.#options = options;
  }

  /** Searches now, or again after the search that is in progress. Resolves when the search has ended. */
  search(): Promise<void> {
    if (this.#search !== null) {
      this.#isAskedAgain = true;
      return this.#search;
    }
    this.#search = this.#searchWhileAsked();
    return this.#search;
  }

  /** Takes over everything now, also in the turn of others; resolves when all that was found is taken over. */
  async takeOver(): Promise<void> {
    await this.search();
    await this.#searchOnce(true).catch((error) => this.#failed(error));
    await Promise.all(this.#inRescue.values());
    await this.#tidying;
  }

  async close(): Promise<void> {
    this.#open = false;
    if (this.#next !== null) clearTimeout(this.#next.timer);
    await this.#search;
    await this.#tidying;
  }

  async #searchWhileAsked(): Promise<void> {
    do {
      this.#isAskedAgain = false;
      await this.#searchOnce(false).catch((error) => this.#failed(error));
    } while (this.#isAskedAgain && this.#open);
    this.#search = null;
  }

  /**
   * Rescues at once the steps of the engine that this one watches in the ring. Steps that are another engine's turn are
   * rescued when they are still there a while later: engines that rescue the same steps at once block each other.
   */
  async #searchOnce(anyTurn: boolean): Promise<void> {
    const begunAt = performance.now();
    const isThorough = anyTurn || begunAt >= this.#thoroughAt;
    const found = await this.#stepsOfTheDead(isThorough);
    if (!this.#open) return;
    const now = performance.now();
    // What was found in another engine's turn is looked for again.
    if (isThorough && found.length === 0) this.#thoroughAt = now + (now - begunAt) / THOROUGH_SHARE;
    const waits = this.#waits(found, now);
    const due = anyTurn ? found : found.filter(({ owner }) => waits.get(owner)! <= 0);
    this.#rescueAll(due);
    const later = [...waits.values()].filter((ms) => ms > 0);
    if (found.length === MAX_FOUND) later.push(SOON_MS);
    if (later.length > 0) this.#searchIn(Math.min(...later));
    if (found.length < MAX_FOUND) this.#tidying ??= this.#tidy(isThorough);
  }

  /** Leaves out steps whose rescue is in progress. */
  async #stepsOfTheDead(isThorough: boolean): Promise<OwnedStep[]> {
    const { db, engineId, unreadable, signs } = this.#options;
    const limit = MAX_FOUND + this.#inRescue.size;
    const search = { self: engineId, limit, exceptTemplates: unreadable(), isThorough };
    const found = await stepsOfTheDead(db, search, signs);
    return found.filter(({ id }) => !this.#inRescue.has(id)).slice(0, MAX_FOUND);
  }

  /** Returns for each owner in how many milliseconds it is this engine's turn. */
  #waits(found: readonly OwnedStep[], now: number): Map<string, number> {
    const owners = new Set(found.map(({ owner }) => owner));
    for (const owner of this.#foundAt.keys()) if (!owners.has(owner)) this.#foundAt.delete(owner);
    const waits = new Map<string, number>();
    for (const owner of owners) {
      const foundAt = this.#foundAt.get(owner) ?? now;
      this.#foundAt.set(owner, foundAt);
      waits.set(owner, foundAt + this.#turnAt(owner) * TURN_MS - now);
    }
    return waits;
  }

  #turnAt(owner: string): number {
    const { engineId, peers } = this.#options;
    return Math.min(MAX_TURNS, turnAt(engineId, peers(), owner));
  }

  #searchIn(ms: number): void {
    const at = performance.now() + ms;
    if (!this.#open || (this.#next !== null && this.#next.at <= at)) return;
    if (this.#next !== null) clearTimeout(this.#next.timer);
    const timer = setTimeout(() => {
      this.#next = null;
      void this.search();
    }, ms);
    timer.unref();
    this.#next = { at, timer };
  }

  /** Rescues go through the door, guarded by the claim: of two rescuers one is late and changes nothing. */
  #rescueAll(steps: readonly OwnedStep[]): void {
    if (steps.length === 0) return;
    this.#options.onOrphans(steps);
    for (const step of steps) this.#inRescue.set(step.id, this.#rescueOne(step));
  }

  /** A failed rescue does not stop the others. */
  #rescueOne(step: OwnedStep): Promise<void> {
    return this.#options
      .rescue(step)
      .catch((error) => this.#failed(error))
      .finally(() => this.#inRescue.delete(step.id));
  }

  #failed(error: unknown): void {
    this.#options.onError(error);
    if (isUnavailable(error)) this.#searchIn(SOON_MS);
  }

  async #tidy(isThorough: boolean): Promise<void> {
    const { db, releaseUnknown, onError } = this.#options;
    await forgetEngines(db)
      .then(isThorough ? releaseUnknown : undefined)
      .catch(onError)
      .finally(() => {
        this.#tidying = null;
      });
  }
}
