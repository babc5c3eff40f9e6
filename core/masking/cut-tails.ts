/**
 * Finds the beginnings of secrets left where a text was cut (core/text/cut.ts).
 *
 * The work is bounded by the length of the text, however many cut marks it has.
 */
import { PIECE, type Pieces, runToEnd } from '../pieces.ts';
import { CUT_MARK } from '../text/cut.ts';
import { type Layer, layersOf, layersOfCut, placeIn } from './decode.ts';
import type { HiddenRanges } from './hidden.ts';
import { comparable, type Spelling } from './spellings.ts';
import { TextFinder } from './text-finder.ts';
import { unwrapped } from './wrapped.ts';

/** From this length on, a beginning is found by its first characters. */
const HEAD = 32;
/** Most characters that one character of a secret takes when escaped several times. */
const WIDEST_ESCAPE = 12;
/** A mark costs as much as so many characters. */
const WEIGHT_OF_MARK = 256;

export class CutTails {
  /** Every beginning of a spelling shorter than `HEAD`. */
  readonly #short = new Set<string>();
  /** Spellings that are longer. */
  readonly #long: readonly string[];
  readonly #heads: TextFinder;
  readonly #reach: number;

  constructor(spellings: readonly Spelling[]) {
    const long = new Set<string>();
    let longest = 0;
    for (const { text, decoded, least } of spellings) {
      for (const spelling of new Set([text, decoded])) {
        for (let length = least; length < Math.min(HEAD, spelling.length); length += 1)
          this.#short.add(spelling.slice(0, length));
        if (spelling.length > HEAD) long.add(spelling);
      }
      longest = Math.max(longest, text.length);
    }
    this.#long = [...long];
    this.#heads = new TextFinder(this.#long.map((spelling) => spelling.slice(0, HEAD)));
    this.#reach = longest * WIDEST_ESCAPE;
  }

  /** Hides the remains of secrets before each mark. */
  *hide(text: string, hidden: HiddenRanges): Pieces<void> {
    let from = 0;
    let work = 0;
    for (let mark = text.indexOf(CUT_MARK); mark >= 0; mark = text.indexOf(CUT_MARK, from)) {
      const begin = Math.max(from, mark - this.#reach);
      const tail = text.slice(begin, mark);
      const cut = tail === '' ? 0 : Math.min(this.#beginIn(layersOf(tail)), this.#beginIn(layersOfCut(tail)));
      if (cut < tail.length) hidden.hide(begin + cut, mark);
      from = mark + CUT_MARK.length;
      work += tail.length + WEIGHT_OF_MARK;
      if (work < PIECE) continue;
      work = 0;
      yield;
    }
  }

  /** Returns the start of the longest beginning of a spelling that reaches the end of the text; infinite: none does. */
  #beginIn(layers: readonly Layer[]): number {
    let first = Number.POSITIVE_INFINITY;
    const joined = runToEnd(unwrapped(layers[layers.length - 1]!));
    for (const layer of joined === null ? layers : [...layers, joined]) {
      for (const text of new Set([layer.text, comparable(layer.text)])) {
        const at = this.#beginInLayer(text);
        if (at !== null) first = Math.min(first, placeIn(layer, at));
      }
    }
    return first;
  }

  #beginInLayer(text: string): number | null {
    let first: number | null = null;
    this.#heads.find(text, 0, text.length, (spelling, at) => {
      if (!this.#long[spelling]!.startsWith(text.slice(at))) return false;
      first = at;
      return true;
    });
    if (first !== null) return first;
    for (let at = Math.max(0, text.length - HEAD + 1); at < text.length; at += 1)
      if (this.#short.has(text.slice(at))) return at;
    return null;
  }
}
