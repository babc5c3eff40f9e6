/**
 * The ranges of a text that are hidden: each is replaced by the mask, and so are several that overlap or touch.
 *
 * Invariant: a range costs the same wherever it is, and however many there are.
 */
import { PIECE, type Pieces } from '../pieces.ts';

export const MASK = '***';

export class HiddenRanges {
  readonly #text: string;
  /** The end of the longest range that begins at each character; 0: none begins there. Null: there are no ranges. */
  #ends: Uint32Array | null = null;

  constructor(text: string) {
    this.#text = text;
  }

  hide(from: number, to: number): void {
    this.#ends ??= new Uint32Array(this.#text.length + 1);
    if (to > this.#ends[from]!) this.#ends[from] = to;
  }

  /** Returns the text with its ranges hidden; the text itself when there are none. */
  *masked(): Pieces<string> {
    const ends = this.#ends;
    const text = this.#text;
    if (ends === null) return text;
    const parts: string[] = [];
    let end = -1;
    for (let from = 0; from < ends.length; from += 1) {
      if (from % PIECE === PIECE - 1) yield;
      const to = ends[from]!;
      if (to === 0) continue;
      if (from > end) parts.push(text.slice(Math.max(0, end), from), MASK);
      end = Math.max(end, to);
    }
    return parts.join('') + text.slice(end);
  }
}
