/**
 * Prepares results of steps and expressions for storage: checked, and masked by the one masker (core/masking/).
 */
import type { Json } from '../core/json/json.ts';
import { rememberText } from '../core/json/parse-in-pieces.ts';
import {
  findUnstorable,
  findUnstorableInPieces,
  type Unstorable,
  type UnstorableKind,
} from '../core/json/storable.ts';
import { isLightValue, writeCompactJsonInPieces } from '../core/json/write-in-pieces.ts';
import { createMasker, type Masker } from '../core/masking/masker.ts';
import type { Pieces } from '../core/pieces.ts';
import { cutText } from '../core/text/cut.ts';
import { inSlices } from '../process/in-slices.ts';
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
  /** Null: another reason. */
  readonly kind: UnstorableKind | null;

  constructor(message: string, kind: UnstorableKind | null = null) {
    super(message);
    this.kind = kind;
  }
}

/** Texts are cut to so many times their length before they are masked, since masking makes most of them shorter. */
const CUT_BEFORE_MASKING = 4;

export class OutputStore {
  readonly #limits: OutputLimits;
  readonly #masker: Masker;

  /** @param secrets values that must not be stored; they are replaced by `***` */
  constructor(limits: OutputLimits, secrets: readonly string[]) {
    this.#limits = limits;
    this.#masker = createMasker(secrets);
  }

  /** Of one output. */
  get maxBytes(): number {
    return this.#limits.maxBytes;
  }

  /**
   * Returns the payload of a value: at once, or in slices of the event loop's time when it is large. Nobody else may
   * change the value meanwhile. @throws NotStorable, and rejects with it
   */
  payload(value: unknown): JsonPayload | Promise<JsonPayload> {
    return isLightValue(value) ? this.payloadNow(value) : inSlices(this.#piecewise(value));
  }

  /** Returns the payload of a value of any size, at once. @throws NotStorable */
  payloadNow(value: unknown): JsonPayload {
    const output = value === undefined ? null : value;
    this.#refuse(findUnstorable(output, this.#limits));
    return this.#masked(output as Json);
  }

  /** The same for work that is done in pieces itself. */
  *payloadInPieces(value: unknown): Pieces<JsonPayload> {
    return isLightValue(value) ? this.payloadNow(value) : yield* this.#piecewise(value);
  }

  /** Returns text of at most `max` characters, for an error message, a name or a key: masked and cut. */
  text(text: string, max: number): string {
    const bounded = cutText(text, CUT_BEFORE_MASKING * max);
    return cutText(this.#masker.text(bounded.replaceAll('\u0000', '').toWellFormed()), max);
  }

  /** Returns the names of routes, masked: they are stored beside the output. */
  routes(names: readonly string[]): readonly string[] {
    if (!Array.isArray(names) || !names.every((name) => typeof name === 'string'))
      throw new TypeError('The routes of a result must be a list of texts.');
    return names.map((name) => this.#masker.text(name));
  }

  #refuse(fault: Unstorable | null): void {
    if (fault === null) return;
    const setting = SETTINGS[fault.kind];
    const named = setting === undefined ? '' : ` (${setting})`;
    throw new NotStorable(
      `The output cannot be stored: ${fault.pointer || 'the value'} ${fault.reason}${named}.`,
      fault.kind,
    );
  }

  #masked(output: Json): JsonPayload {
    const json = JSON.stringify(output);
    if (!this.#masker.suspects(json)) return new JsonPayload(json, output);
    const masked = this.#masker.value(output);
    return masked === output
      ? new JsonPayload(json, output)
      : new JsonPayload(JSON.stringify(masked), masked);
  }

  *#piecewise(output: unknown): Pieces<JsonPayload> {
    this.#refuse(yield* findUnstorableInPieces(output, this.#limits));
    const json = (yield* writeCompactJsonInPieces(output))!;
    const { inPieces } = this.#masker;
    if (!(yield* inPieces.suspects(json))) return largePayload(json, output as Json);
    const masked = yield* inPieces.value(output as Json);
    return largePayload(masked === output ? json : (yield* writeCompactJsonInPieces(masked))!, masked);
  }
}

/** The text is found again by whoever writes the value, or a part of another one that holds it. */
function largePayload(json: string, value: Json): JsonPayload {
  if (typeof value === 'object' && value !== null) rememberText(value, json);
  return new JsonPayload(json, value);
}
