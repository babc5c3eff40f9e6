/**
 * How many bytes of request bodies are worked on at a time, so that memory stays bounded whatever arrives.
 *
 * A body counts from before it is read until its request is answered: as parsed values, as text and as parameters of
 * a statement it is there several times over. Small bodies are not counted, so that a flood of starts keeps nobody
 * from stopping an execution; what bounds those is the number of starts (services/start-gate.ts).
 *
 * Invariant: what a ticket holds is given back once, whatever becomes of its request.
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
        // Alone it always fits: a body may be larger than all there is room for.
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
