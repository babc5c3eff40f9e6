/**
 * The one masker: removes secrets, in any spelling, from everything that leaves a step, an expression or the log.
 *
 * It finds a secret as it is, escaped for JSON, JavaScript, URLs, forms and HTML in any mixture and nesting, its
 * bytes in UTF-8, Latin-1 and UTF-16 as base64, base64url and hexadecimal, the base64 also twice or wrapped into lines,
 * each line of a secret with several lines, the number that its digits make, and the beginning of one that was cut in
 * two (core/text/cut.ts). It does not find secrets that were changed otherwise: compressed, encrypted, reversed, split.
 *
 * Values are masked key by key and string by string, before they become JSON text. A number that shows a secret
 * becomes the text `***`. Keys that would then collide are `***`, `***2`, `***3` and so on, in their order.
 *
 * Invariant 1: without secrets no text is searched.
 * Invariant 2: a value that holds no secret is returned as it is, the same object.
 */
import type { Json } from '../json/json.ts';
import { CUT_MARK } from '../text/cut.ts';
import { AnchorFinder, anchorOf } from './anchors.ts';
import { CutTails } from './cut-tails.ts';
import { type Layer, layersOf, mayEscapeLetters, placeIn } from './decode.ts';
import { comparable, type Spelling, spellingsOf } from './spellings.ts';
import { mayBeWrapped, unwrapped } from './wrapped.ts';

export const MASK = '***';

export interface Masker {
  /** Returns whether a text may hold a secret; false is certain. The text may be the JSON text of a value. */
  suspects(text: string): boolean;
  /** Returns the text with `***` for every secret in it. */
  text(text: string): string;
  /** Returns a JSON value with its keys and strings masked; the same value when there is nothing to mask. */
  value(value: Json): Json;
}

type Range = [from: number, to: number];

const NOTHING: Masker = { suspects: () => false, text: (text) => text, value: (value) => value };

/** Creates a masker. Empty texts are ignored. */
export function createMasker(secrets: readonly string[]): Masker {
  const spellings = [...new Set(secrets)].flatMap(spellingsOf);
  return spellings.length === 0 ? NOTHING : new SecretMasker(spellings);
}

class SecretMasker implements Masker {
  /** Spellings that are searched for only when their anchor is present, by the number of the anchor. */
  readonly #anchored: readonly (readonly Spelling[])[];
  /** Spellings without an anchor: searched for in every text. */
  readonly #bare: readonly Spelling[];
  readonly #anchors: AnchorFinder | null;
  readonly #tails: CutTails;

  constructor(spellings: readonly Spelling[]) {
    const byAnchor = Map.groupBy(spellings, ({ text }) => anchorOf(text));
    this.#bare = byAnchor.get(null) ?? [];
    byAnchor.delete(null);
    this.#anchored = [...byAnchor.values()];
    this.#anchors = byAnchor.size === 0 ? null : new AnchorFinder([...byAnchor.keys()] as string[]);
    this.#tails = new CutTails(spellings);
  }

  suspects(text: string): boolean {
    if (this.#bare.length > 0 || this.#anchors?.isAnyIn(text) === true) return true;
    return text.includes(CUT_MARK) || mayEscapeLetters(text) || mayBeWrapped(text);
  }

  text(text: string): string {
    const spellings = [...this.#anchoredIn(text), ...this.#bare];
    const found = spellings.length === 0 ? [] : rangesOf(text, spellings);
    if (text.includes(CUT_MARK)) found.push(...this.#tails.find(text));
    return found.length === 0 ? text : replaced(text, found);
  }

  /** Returns the spellings whose anchor is in the text, or in what is found below escapes of letters and line breaks. */
  #anchoredIn(text: string): Spelling[] {
    if (this.#anchors === null) return [];
    const hidesAnchors = mayEscapeLetters(text) || mayBeWrapped(text);
    const layers = hidesAnchors ? allLayersOf(text) : [{ text }];
    const found = new Set(layers.flatMap((layer) => [...this.#anchors!.allIn(layer.text)]));
    return [...found].flatMap((at) => this.#anchored[at]!);
  }

  value(value: Json): Json {
    switch (typeof value) {
      case 'string':
        return this.text(value);
      case 'number':
        return this.text(String(value)) === String(value) ? value : MASK;
      case 'object':
        if (value === null) return value;
        return Array.isArray(value) ? this.#list(value) : this.#object(value as { [key: string]: Json });
      default:
        return value;
    }
  }

  #list(list: readonly Json[]): Json {
    const masked = list.map((item) => this.value(item));
    return masked.every((item, at) => Object.is(item, list[at])) ? (list as Json) : masked;
  }

  #object(object: { [key: string]: Json }): Json {
    const members = Object.entries(object);
    const masked = members.map(([key, value]) => [this.text(key), this.value(value)] as const);
    if (masked.every(([key, value], at) => key === members[at]![0] && Object.is(value, members[at]![1])))
      return object;
    const names = new FreeNames(members.flatMap(([key], at) => (masked[at]![0] === key ? [key] : [])));
    return Object.fromEntries(
      masked.map(([key, value], at) => [key === members[at]![0] ? key : names.free(key), value]),
    );
  }
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

function allLayersOf(text: string): Layer[] {
  const layers = layersOf(text);
  const joined = unwrapped(layers[layers.length - 1]!);
  return joined === null ? layers : [...layers, joined];
}

/** Returns the ranges of the spellings in a text, in every layer of escapes. */
function rangesOf(text: string, spellings: readonly Spelling[]): Range[] {
  const layers = layersOf(text);
  const last = layers[layers.length - 1]!;
  const compared = comparableLayer(last);
  const joined = unwrapped(last);
  const comparedJoined = joined === null ? null : comparableLayer(joined);
  return spellings.flatMap((spelling) => [
    ...layers.flatMap((layer) => rangesIn(layer, spelling.text, spelling)),
    ...(compared.text === last.text && spelling.decoded === spelling.text
      ? []
      : rangesIn(compared, spelling.decoded, spelling)),
    ...(comparedJoined === null || !spelling.isCoded
      ? []
      : rangesIn(comparedJoined, spelling.decoded, spelling)),
  ]);
}

function comparableLayer({ text, starts }: Layer): Layer {
  return { text: comparable(text), starts };
}

function rangesIn(layer: Layer, wanted: string, { before, after }: Spelling): Range[] {
  const ranges: Range[] = [];
  const { text } = layer;
  for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + 1)) {
    const from = placeIn(layer, Math.max(0, at - before));
    const to = placeIn(layer, Math.min(text.length, at + wanted.length + after));
    const last = ranges[ranges.length - 1];
    if (last !== undefined && from <= last[1]) last[1] = Math.max(last[1], to);
    else ranges.push([from, to]);
  }
  return ranges;
}

function replaced(text: string, ranges: Range[]): string {
  ranges.sort(([a], [b]) => a - b);
  const parts: string[] = [];
  let end = -1;
  for (const [from, to] of ranges) {
    // Adjacent ranges are hidden as one.
    if (from > end) parts.push(text.slice(Math.max(0, end), from), MASK);
    end = Math.max(end, to);
  }
  return parts.join('') + text.slice(end);
}
