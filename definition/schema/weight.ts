/**
 * The work that a schema and a value take, estimated before it is done. Light work is done at once, within some
 * milliseconds; everything else is done in another process.
 */
import { isObject, type JsonSchema } from '../../core/json/json.ts';
import { patternSize } from './pattern-size.ts';

interface SchemaWeight {
  /** Objects, arrays and scalars; compiling takes 0.1 ms for each, and more the first time. */
  readonly nodes: number;
  /** Instructions of its compiled patterns, at most. */
  readonly patterns: number;
}

const MAX_LIGHT_NODES = 60;
const MAX_LIGHT_PATTERNS = 2_000;
/** Parts of the schema times parts of the value: a keyword may check every part, and find an error there. */
const MAX_LIGHT_PAIRS = 50_000;
/**
 * Parts of the schema times characters of the value: `const`, `enum` and `uniqueItems` write out the values that they
 * compare.
 */
const MAX_LIGHT_TEXT = 500_000;

const weights = new WeakMap<object, SchemaWeight>();

/** Returns whether a schema is compiled within some milliseconds. */
export function isLightSchema(schema: unknown): boolean {
  if (typeof schema !== 'object' || schema === null) return true;
  const { nodes, patterns } = weightOf(schema);
  return nodes <= MAX_LIGHT_NODES && patterns <= MAX_LIGHT_PATTERNS;
}

/**
 * Returns whether a value can be checked against a light schema within some milliseconds, apart from references and
 * patterns, which are counted as they are met.
 * @param length characters of the value as JSON
 * @param value returns the value, when its length alone does not decide
 */
export function isLightCheck(schema: JsonSchema, length: number, value: () => unknown): boolean {
  if (typeof schema === 'boolean') return true;
  if (!isLightSchema(schema)) return false;
  const { nodes } = weightOf(schema);
  return nodes * length <= MAX_LIGHT_TEXT && !isLargerThan(value(), MAX_LIGHT_PAIRS / nodes);
}

/** Returns whether a value has more objects, arrays and scalars than this; stops counting there. */
export function isLargerThan(value: unknown, most: number): boolean {
  const open: unknown[] = [value];
  for (let count = 0; open.length > 0; count++) {
    if (count > most) return true;
    const next = open.pop();
    if (typeof next !== 'object' || next === null) continue;
    const items = Array.isArray(next) ? next : Object.values(next);
    if (items.length > most) return true;
    for (const item of items) open.push(item);
  }
  return false;
}

function weightOf(schema: object): SchemaWeight {
  const known = weights.get(schema);
  if (known !== undefined) return known;
  const weight = weigh(schema);
  weights.set(schema, weight);
  return weight;
}

/**
 * Counts every member with the name of a pattern, also one that is not a pattern. Stops when the schema is known to be
 * heavy.
 */
function weigh(schema: object): SchemaWeight {
  const open: unknown[] = [schema];
  let nodes = 0;
  let patterns = 0;
  while (open.length > 0 && nodes <= MAX_LIGHT_NODES) {
    const next = open.pop();
    nodes += 1;
    if (typeof next !== 'object' || next === null) continue;
    for (const [key, item] of Object.entries(next)) {
      if (key === 'pattern' && typeof item === 'string') patterns += patternSize(item);
      if (key === 'patternProperties' && isObject(item)) patterns += sizeOfAll(Object.keys(item));
      open.push(item);
    }
  }
  return { nodes: nodes + open.length, patterns };
}

function sizeOfAll(patterns: readonly string[]): number {
  return patterns.reduce((size, pattern) => size + patternSize(pattern), 0);
}
