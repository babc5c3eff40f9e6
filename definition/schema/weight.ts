/**
 * How much work a schema and a value are, told before any of it is done: what is light is checked where it is asked,
 * within some milliseconds, and everything else elsewhere.
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
/** Parts of the schema times parts of the value: a keyword may look at every part, and find something wrong there. */
const MAX_LIGHT_PAIRS = 50_000;
/** Parts of the schema times characters of the value: `const`, `enum` and `uniqueItems` write out what they compare. */
const MAX_LIGHT_TEXT = 500_000;

const weights = new WeakMap<object, SchemaWeight>();

/** Whether a schema is compiled within some milliseconds. */
export function isLightSchema(schema: unknown): boolean {
  if (typeof schema !== 'object' || schema === null) return true;
  const { nodes, patterns } = weightOf(schema);
  return nodes <= MAX_LIGHT_NODES && patterns <= MAX_LIGHT_PATTERNS;
}

/**
 * Whether a value can be held against a light schema within some milliseconds, apart from references and patterns,
 * which are counted as they are met.
 * @param length characters of the value as JSON
 * @param value gives it, when its length alone does not decide
 */
export function isLightCheck(schema: JsonSchema, length: number, value: () => unknown): boolean {
  if (typeof schema === 'boolean') return true;
  if (!isLightSchema(schema)) return false;
  const { nodes } = weightOf(schema);
  return nodes * length <= MAX_LIGHT_TEXT && !isLargerThan(value(), MAX_LIGHT_PAIRS / nodes);
}

/** Whether a value has more objects, arrays and scalars; looks at no more of them than that. */
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

/** What is not a pattern but is called so counts too. Stops where it is known to be heavy. */
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
