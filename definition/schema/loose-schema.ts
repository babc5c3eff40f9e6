/**
 * A schema of parameters, loosened to the checks that are possible before their expressions are evaluated.
 *
 * Wherever the schema describes a value, a string that holds an expression is allowed instead of it. Checks whose
 * result an expression could reverse are dropped or widened: `not`, `contains`, `uniqueItems`; of `if` both branches
 * are allowed, and of `oneOf` several may fit.
 *
 * Invariant 1: a value that fits the schema once its expressions are evaluated fits the loose schema before, unless
 * an expression removed a key by being undefined.
 */
import { isObject, type JsonObject, type JsonSchema } from '../../core/json/json.ts';

/** Returns whether a string holds `${{`; its evaluated value is then not known. */
export function holdsExpression(text: string): boolean {
  return text.includes('${{');
}

/** A schema for the strings that hold an expression. */
export const EXPRESSION_SCHEMA: JsonObject = {
  type: 'string',
  pattern: '\\$\\{\\{',
  examples: ['${{ input.total }}'],
};

/** Combines a schema with the permission to write an expression instead. */
export type Allow = (schema: JsonSchema) => JsonSchema;

/** Reports the problems of a value without expression as its plain schema would. */
const unlessExpression: Allow = (schema) =>
  typeof schema === 'boolean' ? schema : { if: EXPRESSION_SCHEMA, else: schema };

const ONE_SCHEMA = ['items', 'additionalProperties', 'unevaluatedItems', 'unevaluatedProperties'];
const SCHEMA_LISTS = ['prefixItems'];
const SCHEMA_MAPS = ['properties', 'patternProperties'];
/** These apply to the value itself, which is not an expression when they are checked. */
const IN_PLACE_LISTS = ['allOf', 'anyOf'];
const IN_PLACE_MAPS = ['dependentSchemas', '$defs', 'definitions'];
const DROPPED = [
  'not',
  'contains',
  'minContains',
  'maxContains',
  'uniqueItems',
  'oneOf',
  'if',
  'then',
  'else',
];

/**
 * The loose variant of a schema; the value as a whole must still not be an expression. Recurses as deep as the schema,
 * which comes from the author of a step type, not from a user.
 */
export function looseSchema(schema: JsonSchema, allow: Allow = unlessExpression): JsonSchema {
  if (!isObject(schema)) return schema;
  const inside = (sub: unknown) => allow(looseSchema(sub as JsonSchema, allow));
  const inPlace = (sub: unknown) => looseSchema(sub as JsonSchema, allow);
  const loose: JsonObject = {};
  for (const [keyword, value] of Object.entries(schema)) {
    if (DROPPED.includes(keyword) || isDeepChoice(keyword, value)) continue;
    if (ONE_SCHEMA.includes(keyword)) loose[keyword] = inside(value);
    else if (SCHEMA_LISTS.includes(keyword) && Array.isArray(value)) loose[keyword] = value.map(inside);
    else if (SCHEMA_MAPS.includes(keyword)) loose[keyword] = mapValues(value, inside);
    else if (IN_PLACE_LISTS.includes(keyword) && Array.isArray(value)) loose[keyword] = value.map(inPlace);
    else if (IN_PLACE_MAPS.includes(keyword)) loose[keyword] = mapValues(value, inPlace);
    else loose[keyword] = value;
  }
  const choices = choicesOf(schema, inPlace);
  return choices.length === 0
    ? loose
    : { ...loose, allOf: [...((loose.allOf as JsonSchema[]) ?? []), ...choices] };
}

/**
 * Returns whether an `enum` or `const` has an array or object, which an expression inside the value could turn into.
 */
function isDeepChoice(keyword: string, value: unknown): boolean {
  if (keyword !== 'enum' && keyword !== 'const') return false;
  const choices = keyword === 'const' ? [value] : [value].flat();
  return choices.some((choice) => typeof choice === 'object' && choice !== null);
}

/** `oneOf` as `anyOf`, and an `if` as both of its branches. */
function choicesOf(schema: JsonObject, inPlace: (sub: unknown) => JsonSchema): JsonObject[] {
  const choices: JsonObject[] = [];
  if (Array.isArray(schema.oneOf)) choices.push({ anyOf: schema.oneOf.map(inPlace) });
  if (Object.hasOwn(schema, 'if')) {
    choices.push({ anyOf: [inPlace(schema.then ?? true), inPlace(schema.else ?? true)] });
  }
  return choices;
}

function mapValues(value: unknown, map: (sub: unknown) => JsonSchema): JsonObject {
  if (!isObject(value)) return {};
  return Object.fromEntries(Object.entries(value).map(([key, sub]) => [key, map(sub)]));
}
