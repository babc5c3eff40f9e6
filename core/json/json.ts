/**
 * JSON as the engine uses it: definitions, inputs and outputs consist of it.
 *
 * Not here: whether a value may be stored (see storable.ts) and how it is written (db/).
 */
export type Json = null | boolean | number | string | Json[] | JsonObject;
export interface JsonObject {
  [key: string]: Json;
}

/** A JSON Schema 2020-12 document, or one of its sub-schemas. */
export type JsonSchema = JsonObject | boolean;

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
