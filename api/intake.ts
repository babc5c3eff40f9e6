/**
 * The number of bytes of request bodies in memory at a time. It is bounded, and workspaces share it.
 *
 * A body counts as it arrives, until its request is answered: its values, its text and the parameters of a statement
 * are copies of it. Small bodies are not counted, so that executions can be stopped during a flood of starts; they are
 * bounded by the number of starts (services/start-gate.ts).
 *
 * Invariant 1: the bytes of a ticket are given back once, however its request ends.
 * Invariant 2: a body that does not arrive holds no room that another one needs.
 */
import { Shares } from '../core/fairness/shares.ts';
import { EngineError } from '../core/problem.ts';

export interface IntakeOptions {
  readonly maxBytes: number;
  /** How long a body may bring nothing before it gives way to others, in milliseconds; default 2 s. */
  readonly stalledMs?: number | undefined;
  onRefused?(): void;
}

/** Of one request. */
export interface IntakeTicket {
  /** Begins the body. @param giveWay is called when it is dropped, because another body needs its room */
  arriving(giveWay: () => void): void;
  /** This many bytes of the body are here. @throws EngineError too_many_requests */
  reached(bytes: number): void;
  /** All of the body is here: it is not dropped any more. */
  arrived(): void;
  release(): void;
}

interface Entry {
  readonly owner: string;
  bytes: number;
  /** performance.now() when its last bytes came. */
  lastAt: number;
  /** Null: its body is not arriving. */
  giveWay: (() => void) | null;
}

const SMALL_BYTES = 4 * 1_024;
const STALLED_MS = 2_000;
/** A workspace may hold this multiple of the free room: three quarters of all. */
const TIMES_FREE = 3;

export class Intake {
  readonly #options: IntakeOptions;
  readonly #shares: Shares;
  /** Tickets that hold room. */
  readonly #holding = new Set<Entry>();

  constructor(options: IntakeOptions) {
    this.#options = options;
    this.#shares = new Shares(options.maxBytes, TIMES_FREE);
  }

  /** @param owner workspace of the caller */
  admit(owner: string): IntakeTicket {
    const entry: Entry = { owner, bytes: 0, lastAt: performance.now(), giveWay: null };
    return {
      arriving: (giveWay) => {
        entry.giveWay = giveWay;
      },
      reached: (bytes) => this.#grow(entry, bytes),
      arrived: () => {
        entry.giveWay = null;
      },
      release: () => this.#release(entry),
    };
  }

  #grow(entry: Entry, bytes: number): void {
    const more = bytes - entry.bytes;
    if (bytes <= SMALL_BYTES || more <= 0) return;
    entry.lastAt = performance.now();
    this.#shares.meet(entry.owner);
    if (!this.#hasRoom(entry, more)) this.#dropStalled(entry, more);
    if (!this.#hasRoom(entry, more)) this.#refuse();
    this.#shares.take(entry.owner, more);
    entry.bytes = bytes;
    this.#holding.add(entry);
  }

  /** A single body always has room, even one that is larger than the bound. */
  #hasRoom({ owner, bytes }: Entry, more: number): boolean {
    return this.#shares.taken === bytes || this.#shares.mayTake(owner, more);
  }

  /** Drops bodies that bring nothing, the longest first, until there is room. */
  #dropStalled(entry: Entry, more: number): void {
    const before = performance.now() - (this.#options.stalledMs ?? STALLED_MS);
    const stalled = [...this.#holding]
      .filter((other) => other !== entry && other.giveWay !== null && other.lastAt < before)
      .sort((a, b) => a.lastAt - b.lastAt);
    for (const other of stalled) {
      if (this.#hasRoom(entry, more)) return;
      const { giveWay } = other;
      this.#release(other);
      giveWay?.();
    }
  }

  #release(entry: Entry): void {
    this.#holding.delete(entry);
    if (entry.bytes > 0) this.#shares.give(entry.owner, entry.bytes);
    entry.bytes = 0;
    entry.giveWay = null;
  }

  #refuse(): never {
    this.#options.onRefused?.();
    throw new EngineError(
      'too_many_requests',
      `Nothing was done: request bodies of ${this.#shares.taken} bytes are being worked on, and ` +
        `${this.#options.maxBytes} are taken at a time, shared by the workspaces (EXECUTION_ENGINE_MAX_INTAKE_BYTES). Try again later.`,
    );
  }
}
