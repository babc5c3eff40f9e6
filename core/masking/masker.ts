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
 * Invariant 3: the work grows with the length of a text, however it is written. `inPieces` does it a piece at a time.
 */
import type { Json } from '../json/json.ts';
import { PIECE, type Pieces, runToEnd } from '../pieces.ts';
import { CUT_MARK } from '../text/cut.ts';
import { anchorOf } from './anchors.ts';
import { CutTails } from './cut-tails.ts';
import {
  decodeOnce,
  type Layer,
  MAX_ESCAPED_LETTER,
  MAX_LAYERS,
  mayEscapeLetters,
  placeIn,
} from './decode.ts';
import { HiddenRanges, MASK } from './hidden.ts';
import { valueInPieces } from './masked-value.ts';
import { comparable, type Spelling, spellingsOf } from './spellings.ts';
import { TextFinder } from './text-finder.ts';
import { mayBeWrapped, unwrapped } from './wrapped.ts';

export interface Masker {
  /** Returns whether a text may hold a secret; false is certain. The text may be the JSON text of a value. */
  suspects(text: string): boolean;
  /** Returns the text with `***` for every secret in it. */
  text(text: string): string;
  /** Returns a JSON value with its keys and strings masked; the same value when there is nothing to mask. */
  value(value: Json): Json;
  /** The same, for long texts and large values. */
  readonly inPieces: PiecewiseMasker;
}

export interface PiecewiseMasker {
  suspects(text: string): Pieces<boolean>;
  text(text: string): Pieces<string>;
  value(value: Json): Pieces<Json>;
}

/** Creates a masker. Empty texts are ignored. */
export function createMasker(secrets: readonly string[]): Masker {
  const spellings = [...new Set(secrets)].flatMap(spellingsOf);
  return spellings.length === 0 ? NOTHING : new SecretMasker(spellings);
}

const NOTHING: Masker = {
  suspects: () => false,
  text: (text) => text,
  value: (value) => value,
  inPieces: { suspects: () => atOnce(false), text: atOnce, value: atOnce },
};

// biome-ignore lint/correctness/useYield: there is nothing to pause.
function* atOnce<T>(result: T): Pieces<T> {
  return result;
}

/** Characters looked at around a piece: what shows that a text may hold a secret is no longer. */
const AROUND = Math.max(MAX_ESCAPED_LETTER, CUT_MARK.length);
const MAY_BEGIN_ESCAPE = /[\\%&\xc2-\xf4]/;

class SecretMasker implements Masker {
  readonly #spellings: readonly Spelling[];
  /** Of the spellings that have one; null: none has. */
  readonly #anchors: TextFinder | null;
  /** Spellings without an anchor; null: there are none. */
  readonly #bare: TextFinder | null;
  readonly #longestBare: number;
  readonly #written: TextFinder;
  readonly #decoded: TextFinder;
  readonly #tails: CutTails;
  readonly inPieces: PiecewiseMasker;

  constructor(spellings: readonly Spelling[]) {
    this.#spellings = spellings;
    const anchors = new Set(spellings.flatMap(({ text }) => anchorOf(text) ?? []));
    const bare = spellings.filter(({ text }) => anchorOf(text) === null);
    this.#anchors = finderOf([...anchors]);
    this.#bare = finderOf([...new Set(bare.flatMap(({ text, decoded }) => [text, decoded]))]);
    this.#longestBare = bare.reduce((most, { text }) => Math.max(most, text.length), 0);
    this.#written = new TextFinder(spellings.map(({ text }) => text));
    this.#decoded = new TextFinder(spellings.map(({ decoded }) => decoded));
    this.#tails = new CutTails(spellings);
    this.inPieces = {
      suspects: (text) => this.#suspects(text),
      text: (text) => this.#text(text),
      value: (value) => valueInPieces(this, MASK, value),
    };
  }

  suspects(text: string): boolean {
    for (let from = 0; from < text.length; from += PIECE) if (this.#suspectsPiece(text, from)) return true;
    return false;
  }

  text(text: string): string {
    return this.suspects(text) ? runToEnd(this.#masked(text)) : text;
  }

  value(value: Json): Json {
    return runToEnd(valueInPieces(this, MASK, value));
  }

  *#suspects(text: string): Pieces<boolean> {
    for (let from = 0; from < text.length; from += PIECE) {
      if (this.#suspectsPiece(text, from)) return true;
      yield;
    }
    return false;
  }

  *#text(text: string): Pieces<string> {
    return (yield* this.#suspects(text)) ? yield* this.#masked(text) : text;
  }

  /** Returns whether a secret may begin in the piece of the text that begins at a place. */
  #suspectsPiece(text: string, from: number): boolean {
    if (this.#anchors?.isAnyIn(text, from, from + PIECE) === true) return true;
    const piece = text.slice(Math.max(0, from - AROUND), from + PIECE + AROUND);
    return (
      piece.includes(CUT_MARK) ||
      mayEscapeLetters(piece) ||
      mayBeWrapped(piece) ||
      (this.#bare !== null && (MAY_BEGIN_ESCAPE.test(piece) || this.#holdsBare(text, from)))
    );
  }

  #holdsBare(text: string, from: number): boolean {
    const piece = text.slice(from, from + PIECE + this.#longestBare);
    return this.#bare!.isAnyIn(piece) || (piece.includes('+') && this.#bare!.isAnyIn(comparable(piece)));
  }

  /** Masks a text in every layer of escapes. */
  *#masked(text: string): Pieces<string> {
    const hidden = new HiddenRanges(text);
    let layer: Layer = { text, starts: null };
    for (let count = 1; ; count += 1) {
      yield* this.#hide(this.#written, layer, hidden);
      const next: Layer | null = count < MAX_LAYERS ? yield* decodeOnce(layer) : null;
      if (next === null) break;
      layer = next;
    }
    yield* this.#hide(this.#decoded, yield* comparableLayer(layer), hidden);
    const joined = yield* unwrapped(layer);
    if (joined !== null) yield* this.#hide(this.#decoded, yield* comparableLayer(joined), hidden, IS_CODED);
    yield* this.#tails.hide(text, hidden);
    return yield* hidden.masked();
  }

  *#hide(finder: TextFinder, layer: Layer, hidden: HiddenRanges, isWanted = EVERY): Pieces<void> {
    const { text } = layer;
    const hide = (found: number, at: number, length: number) => {
      const spelling = this.#spellings[found]!;
      if (!isWanted(spelling)) return false;
      const end = Math.min(text.length, at + length + spelling.after);
      hidden.hide(placeIn(layer, Math.max(0, at - spelling.before)), placeIn(layer, end));
      return false;
    };
    for (let from = 0; from < text.length; from += PIECE) {
      finder.find(text, from, from + PIECE, hide);
      yield;
    }
  }
}

const EVERY = (_: Spelling): boolean => true;
const IS_CODED = ({ isCoded }: Spelling): boolean => isCoded;

function finderOf(texts: readonly string[]): TextFinder | null {
  return texts.length === 0 ? null : new TextFinder(texts);
}

function* comparableLayer({ text, starts }: Layer): Pieces<Layer> {
  if (!text.includes('+')) return { text, starts };
  const parts: string[] = [];
  for (let from = 0; from < text.length; from += PIECE) {
    parts.push(comparable(text.slice(from, from + PIECE)));
    yield;
  }
  return { text: parts.join(''), starts };
}
