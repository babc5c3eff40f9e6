/**
 * A JSON value with its text: each is made from the other once, on first use, and cached.
 */
import type { Payload } from '../core/event.ts';
import type { Json } from '../core/json/json.ts';

export class JsonPayload implements Payload {
  readonly json: string;
  #value: Json | undefined;

  constructor(json: string, value?: Json) {
    this.json = json;
    this.#value = value;
  }

  get value(): Json {
    if (this.#value === undefined) this.#value = JSON.parse(this.json) as Json;
    return this.#value;
  }
}
