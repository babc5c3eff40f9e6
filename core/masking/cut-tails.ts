/**
 * Finds the beginnings of secrets left where a text was cut (core/text/cut.ts).
 *
 * The work is bounded by the length of the text, however many cut marks it has.
 */
import { CUT_MARK } from '../text/cut.ts';
import { type Layer, layersOf, layersOfCut, placeIn } from './decode.ts';
import { comparable, type Spelling } from './spellings.ts';
import { unwrapped } from './wrapped.ts';

/** From this length on, a beginning is found by its first characters. */
const HEAD = 32;
/** Most characters that one character of a secret takes when escaped several times. */
const WIDEST_ESCAPE = 12;

export class CutTails {
  /** Every beginning of a spelling shorter than `HEAD`. */
  readonly #short = new Set<string>();
  readonly #byHead = new Map<string, string[]>();
  readonly #reach: number;

  constructor(spellings: readonly Spelling[]) {
    let longest = 0;
    for (const { text, decoded, least } of spellings) {
      for (const spelling of new Set([text, decoded])) this.#add(spelling, least);
      longest = Math.max(longest, text.length);
    }
    this.#reach = longest * WIDEST_ESCAPE;
  }

  #add(spelling: string, least: number): void {
    for (let length = least; length < Math.min(HEAD, spelling.length); length += 1)
      this.#short.add(spelling.slice(0, length));
    if (spelling.length <= HEAD) return;
    const head = spelling.slice(0, HEAD);
    const known = this.#byHead.get(head) ?? [];
    this.#byHead.set(head, known);
    known.push(spelling);
  }

  /** Returns the ranges that hide the remains of secrets before each mark. */
  find(text: string): [number, number][] {
    const found: [number, number][] = [];
    let from = 0;
    for (let mark = text.indexOf(CUT_MARK); mark >= 0; mark = text.indexOf(CUT_MARK, from)) {
      const begin = Math.max(from, mark - this.#reach);
      const tail = text.slice(begin, mark);
      const cut = Math.min(this.#beginIn(layersOf(tail)), this.#beginIn(layersOfCut(tail)));
      if (cut < tail.length) found.push([begin + cut, mark]);
      from = mark + CUT_MARK.length;
    }
    return found;
  }

  /** Returns the start of the longest beginning of a spelling that reaches the end of the text; infinite: none does. */
  #beginIn(layers: readonly Layer[]): number {
    let first = Number.POSITIVE_INFINITY;
    const joined = unwrapped(layers[layers.length - 1]!);
    for (const layer of joined === null ? layers : [...layers, joined]) {
      for (const text of new Set([layer.text, comparable(layer.text)])) {
        const at = this.#beginInLayer(text);
        if (at !== null) first = Math.min(first, placeIn(layer, at));
      }
    }
    return first;
  }

  #beginInLayer(text: string): number | null {
    for (let at = 0; at + HEAD <= text.length && this.#byHead.size > 0; at += 1) {
      const known = this.#byHead.get(text.slice(at, at + HEAD));
      if (known?.some((spelling) => spelling.startsWith(text.slice(at)))) return at;
    }
    for (let at = Math.max(0, text.length - HEAD + 1); at < text.length; at += 1)
      if (this.#short.has(text.slice(at))) return at;
    return null;
  }
}
