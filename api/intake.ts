/**
 * The number of bytes of request bodies in work at a time. It is bounded, and so is the memory they take.
 *
 * A body counts from before it is read until its request is answered: its values, its text and the parameters of a
 * statement are copies of it. Small bodies are not counted, so that executions can be stopped during a flood of starts;
 * they are bounded by the number of starts (services/start-gate.ts).
 *
 * Invariant: the bytes of a ticket are given back once, however its request ends.
 */
import { EngineError } from '../core/problem.ts';

export interface IntakeOptions {
  readonly maxBytes: number;
  onRefused?(): void;
}

/** Of one request. */
export interface IntakeTicket {
  /** The body has this many bytes, or more. @throws EngineError too_many_requests */
  reached(bytes: number): void;
  release(): void;
}

const SMALL_BYTES = 4 * 1_024;

export class Intake {
  readonly #options: IntakeOptions;
  #held = 0;

  constructor(options: IntakeOptions) {
    this.#options = options;
  }

  admit(): IntakeTicket {
    let own = 0;
    return {
      reached: (bytes) => {
        if (bytes <= SMALL_BYTES || bytes <= own) return;
        const others = this.#held - own;
        // A single body always fits, even one that is larger than the bound.
        if (others > 0 && others + bytes > this.#options.maxBytes) this.#refuse();
        this.#held += bytes - own;
        own = bytes;
      },
      release: () => {
        this.#held -= own;
        own = 0;
      },
    };
  }

  #refuse(): never {
    this.#options.onRefused?.();
    throw new EngineError(
      'too_many_requests',
      `Nothing was done: request bodies of ${this.#held} bytes are being worked on, and ` +
        `${this.#options.maxBytes} are taken at a time (EXECUTION_ENGINE_MAX_INTAKE_BYTES). Try again later.`,
    );
  }
}
