/**
 * What the core needs of JSON Schema 2020-12; definition/schema/json-schema.ts provides it.
 */
import type { JsonSchema } from '../../core/json/json.ts';

export interface SchemaFault {
  /** JSON pointer below what was checked; a missing or unknown property is named by it too. */
  pointer: string;
  /** One sentence that says what was found and what is allowed. */
  message: string;
}

export interface SchemaChecker {
  /** What is wrong with a schema itself; `schema` is any JSON value. */
  checkSchema(schema: unknown): readonly SchemaFault[];
  /** The same of a schema that passed once, perhaps when more was allowed. */
  checkStored(schema: unknown): readonly SchemaFault[];
  /** What is wrong with a value; `schema` has passed `checkSchema`. May cache by the identity of the schema. */
  validate(schema: JsonSchema, value: unknown): readonly SchemaFault[];
  /** The same within some milliseconds; null: it would take longer. */
  validateBriefly(schema: JsonSchema, value: unknown): readonly SchemaFault[] | null;
}
