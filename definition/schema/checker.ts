/**
 * The part of JSON Schema 2020-12 that the checks need; definition/schema/json-schema.ts provides it.
 */
import type { JsonSchema } from '../../core/json/json.ts';

export interface SchemaFault {
  /** JSON pointer below the checked value; it names a missing or unknown property too. */
  pointer: string;
  /** One sentence with the found value and the allowed ones. */
  message: string;
}

export interface SchemaChecker {
  /** The problems of a schema itself; `schema` is any JSON value. */
  checkSchema(schema: unknown): readonly SchemaFault[];
  /** The same for a schema that passed once, perhaps under wider bounds. */
  checkStored(schema: unknown): readonly SchemaFault[];
  /** The problems of a value; `schema` has passed `checkSchema`. May cache by the identity of the schema. */
  validate(schema: JsonSchema, value: unknown): readonly SchemaFault[];
  /** The same within some milliseconds; null: it would take longer. */
  validateBriefly(schema: JsonSchema, value: unknown): readonly SchemaFault[] | null;
}
