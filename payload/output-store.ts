/**
 * The boundary where a value becomes something to store: text, checked and masked.
 */
import type { Json } from '../core/json/json.ts';
import { findUnstorable, type UnstorableKind } from '../core/json/storable.ts';
import { JsonPayload } from './json-payload.ts';

export interface OutputLimits {
  readonly maxDepth: number;
  readonly maxBytes: number;
}

/** What allows more. */
const SETTINGS: Partial<Record<UnstorableKind, string>> = {
  size: 'EXECUTION_ENGINE_MAX_OUTPUT_BYTES',
  depth: 'EXECUTION_ENGINE_MAX_JSON_DEPTH',
};

/** A value that cannot be stored; the step or execution that made it fails with `output_not_storable`. */
export class NotStorable extends Error {
  readonly code = 'output_not_storable';
}

export class OutputStore {
  readonly #limits: OutputLimits;
  readonly #mask: (text: string) => string;

  /** @param secrets values that must not be stored; they are replaced by `***`. */
  constructor(limits: OutputLimits, secrets: readonly string[]) {
    this.#limits = limits;
    this.#mask = masker(secrets);
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
    const json = JSON.stringify(output);
    const masked = this.#mask(json);
    return masked === json ? new JsonPayload(json, output as Json) : new JsonPayload(masked);
  }

  /** Text for an error message or a log line. */
  text(text: string): string {
    return this.#mask(text);
  }
}

/** Replaces every secret in a text, also where JSON escapes it. */
function masker(secrets: readonly string[]): (text: string) => string {
  const forms = new Set(secrets.flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1)]));
  if (forms.size === 0) return (text) => text;
  const longestFirst = [...forms].sort((a, b) => b.length - a.length);
  return (text) => longestFirst.reduce((masked, secret) => masked.replaceAll(secret, '***'), text);
}
