/**
 * A JSON value with its text: each is made from the other once, on first use, and cached.
 */
import type { Payload } from '../core/event.ts';
import type { Json } from '../core/json/json.ts';
import { parseJsonInPieces } from '../core/json/parse-in-pieces.ts';
import { inSlices } from '../process/in-slices.ts';

/** Characters of JSON that are parsed within some milliseconds. */
const MAX_LIGHT_LENGTH = 128 * 1_024;

export class JsonPayload implements Payload {
  readonly json: string;
  #value: Json | undefined;
  #parsing: Promise<void> | null = null;

  constructor(json: string, value?: Json) {
    this.json = json;
    this.#value = value;
  }

  get value(): Json {
    if (this.#value === undefined) this.#value = JSON.parse(this.json) as Json;
    return this.#value;
  }

  /** Characters to parse before there is a value. */
  get unparsed(): number {
    return this.#value === undefined ? this.json.length : 0;
  }

  /** Makes the value in slices of the event loop's time; once for all concurrent callers. */
  parse(): Promise<void> {
    this.#parsing ??= this.#parse();
    return this.#parsing;
  }

  async #parse(): Promise<void> {
    if (this.unparsed > 0) this.#value = await inSlices(parseJsonInPieces(this.json));
  }
}

/** Makes the values of payloads that together are too large to be parsed at once. Others are parsed on first use. */
export function parseLarge(payloads: readonly JsonPayload[]): undefined | Promise<void> {
  let unparsed = 0;
  for (const payload of payloads) unparsed += payload.unparsed;
  return unparsed <= MAX_LIGHT_LENGTH ? undefined : parseAll(payloads);
}

async function parseAll(payloads: readonly JsonPayload[]): Promise<void> {
  for (const payload of payloads) await payload.parse();
}
