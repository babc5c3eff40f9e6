/**
 * Prepares results of steps and expressions for storage: checked, and masked by the one masker (core/masking/).
 */
import type { Json } from '../core/json/json.ts';
import { findUnstorable, type UnstorableKind } from '../core/json/storable.ts';
import { createMasker, type Masker } from '../core/masking/masker.ts';
import { cutText } from '../core/text/cut.ts';
import { JsonPayload } from './json-payload.ts';

export interface OutputLimits {
  readonly maxDepth: number;
  readonly maxBytes: number;
}

/** Settings that raise each limit. */
const SETTINGS: Partial<Record<UnstorableKind, string>> = {
  size: 'EXECUTION_ENGINE_MAX_OUTPUT_BYTES',
  depth: 'EXECUTION_ENGINE_MAX_JSON_DEPTH',
};

/** Thrown for a value that cannot be stored; its step or execution fails with `output_not_storable`. */
export class NotStorable extends Error {
  readonly code = 'output_not_storable';
}

export class OutputStore {
  readonly #limits: OutputLimits;
  readonly #masker: Masker;

  /** @param secrets values that must not be stored; they are replaced by `***` */
  constructor(limits: OutputLimits, secrets: readonly string[]) {
    this.#limits = limits;
    this.#masker = createMasker(secrets);
  }

  /** @throws NotStorable */
  payload(value: unknown): JsonPayload {
    const output = value === undefined ? null : value;
    const fault = findUnstorable(output, {
      maxDepth: this.#limits.maxDepth,
      maxBytes: this.#limits.maxBytes,
    });
    if (fault !== null) {
      const setting = SETTINGS[fault.kind];
      const named = setting === undefined ? '' : ` (${setting})`;
      throw new NotStorable(
        `The output cannot be stored: ${fault.pointer || 'the value'} ${fault.reason}${named}.`,
      );
    }
    return this.#masked(output as Json);
  }

  /** Returns text of at most `max` characters, for an error message, a name or a key: masked, then cut. */
  text(text: string, max: number): string {
    return cutText(this.#masker.text(text.replaceAll('\u0000', '').toWellFormed()), max);
  }

  /** Returns the names of routes, masked: they are stored beside the output. */
  routes(names: readonly string[]): readonly string[] {
    if (!Array.isArray(names) || !names.every((name) => typeof name === 'string'))
      throw new TypeError('The routes of a result must be a list of texts.');
    return names.map((name) => this.#masker.text(name));
  }

  #masked(output: Json): JsonPayload {
    const json = JSON.stringify(output);
    if (!this.#masker.suspects(json)) return new JsonPayload(json, output);
    const masked = this.#masker.value(output);
    return masked === output
      ? new JsonPayload(json, output)
      : new JsonPayload(JSON.stringify(masked), masked);
  }
}
