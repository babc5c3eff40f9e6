/**
 * Masks a JSON value a piece at a time: key by key and string by string.
 *
 * Invariant: no recursion; between two yields a bounded number of values and characters is masked.
 */
import type { Json } from '../json/json.ts';
import { PIECE, type Pieces } from '../pieces.ts';

export interface TextMasker {
  text(text: string): string;
  readonly inPieces: { text(text: string): Pieces<string> };
}

/** A value costs as much as so many characters. */
const WEIGHT_OF_VALUE = 16;

type Container = readonly Json[] | { readonly [key: string]: Json };

interface Frame {
  readonly node: Container;
  /** Null for an array. */
  readonly keys: readonly string[] | null;
  readonly length: number;
  /** The masked keys and values so far. */
  readonly names: string[];
  readonly values: Json[];
  isChanged: boolean;
}

/**
 * Returns the value with its texts masked, and numbers that show a secret as the mask; the same value when there is
 * nothing to mask.
 */
export function* valueInPieces(masker: TextMasker, mask: string, whole: Json): Pieces<Json> {
  // The whole is an item of a list, so that it is handled like all values.
  const root = frameOf([whole]);
  const open = [root];
  let work = 0;
  for (let frame = root; frame !== undefined; frame = open[open.length - 1]!) {
    const at = frame.values.length;
    if (at === frame.length) {
      open.pop();
      const holder = open[open.length - 1];
      if (holder !== undefined) put(holder, masked(frame));
      continue;
    }
    if (work > PIECE) {
      work = 0;
      yield;
    }
    const key = frame.keys?.[at];
    const value = valueAt(frame, at);
    if (key !== undefined) {
      const name = isLong(key) ? yield* masker.inPieces.text(key) : masker.text(key);
      frame.names.push(name);
      frame.isChanged ||= name !== key;
    }
    work += WEIGHT_OF_VALUE + (key?.length ?? 0) + (typeof value === 'string' ? value.length : 0);
    if (typeof value === 'object' && value !== null) open.push(frameOf(value));
    else put(frame, isLong(value) ? yield* masker.inPieces.text(value) : maskedScalar(masker, mask, value));
  }
  return root.values[0]!;
}

function frameOf(node: Container): Frame {
  const keys = Array.isArray(node) ? null : Object.keys(node);
  const length = keys === null ? (node as readonly Json[]).length : keys.length;
  return { node, keys, length, names: [], values: [], isChanged: false };
}

function valueAt({ node, keys }: Frame, at: number): Json {
  return (node as { readonly [key: string | number]: Json })[keys?.[at] ?? at]!;
}

function put(frame: Frame, value: Json): void {
  frame.isChanged ||= !Object.is(value, valueAt(frame, frame.values.length));
  frame.values.push(value);
}

function isLong(value: Json): value is string {
  return typeof value === 'string' && value.length > PIECE;
}

function maskedScalar(masker: TextMasker, mask: string, value: Json): Json {
  if (typeof value === 'string') return masker.text(value);
  if (typeof value !== 'number') return value;
  const written = String(value);
  return masker.text(written) === written ? value : mask;
}

function masked({ node, keys, names, values, isChanged }: Frame): Json {
  if (!isChanged) return node as Json;
  if (keys === null) return values;
  const free = new FreeNames(keys.filter((key, at) => names[at] === key));
  return Object.fromEntries(
    keys.map((key, at) => [names[at] === key ? key : free.free(names[at]!), values[at]!]),
  );
}

/** Names for masked keys that no other key has. */
class FreeNames {
  readonly #taken: Set<string>;
  readonly #last = new Map<string, number>();

  constructor(taken: readonly string[]) {
    this.#taken = new Set(taken);
  }

  free(key: string): string {
    let count = (this.#last.get(key) ?? 0) + 1;
    while (this.#taken.has(numbered(key, count))) count += 1;
    this.#last.set(key, count);
    this.#taken.add(numbered(key, count));
    return numbered(key, count);
  }
}

function numbered(key: string, count: number): string {
  return count === 1 ? key : key + count;
}
