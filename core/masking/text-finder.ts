/**
 * A quick search for many texts in a long one, mostly to establish that none of them is there.
 *
 * It compares three characters at a time, and skips as many at once as the shortest text allows. Its work is bounded by
 * the length of the searched text, however many texts are searched for: only those that share their first characters
 * are compared one by one.
 */

/** Characters compared together. */
export const BLOCK = 3;
const SLOTS = 1 << 16;
const LONGEST_WINDOW = 255;

/** Called with the number of a text, and with place and length of what was found; true ends the search. */
export type OnFound = (text: number, at: number, length: number) => boolean;

export class TextFinder {
  readonly #texts: readonly string[];
  /** Numbers of the texts that are shorter than a block. */
  readonly #tiny: readonly number[];
  /** Length of the shortest other text. */
  readonly #window: number;
  /** The skip after a block; 0: the first `window` characters of a text may end here. */
  readonly #steps: Uint8Array;
  /** Texts by the block that ends their first `window` characters. */
  readonly #ending = new Map<number, number[]>();

  /** @param texts none of them empty */
  constructor(texts: readonly string[]) {
    this.#texts = texts;
    this.#tiny = [...texts.keys()].filter((at) => texts[at]!.length < BLOCK);
    const others = [...texts.keys()].filter((at) => texts[at]!.length >= BLOCK);
    this.#window = others.reduce((least, at) => Math.min(least, texts[at]!.length), LONGEST_WINDOW);
    this.#steps = new Uint8Array(SLOTS).fill(this.#window - BLOCK + 1);
    for (const at of others) this.#add(texts[at]!, at);
  }

  #add(text: string, at: number): void {
    for (let end = BLOCK; end <= this.#window; end += 1) {
      const slot = slotAt(text, end - 1);
      this.#steps[slot] = Math.min(this.#steps[slot]!, this.#window - end);
      if (end < this.#window) continue;
      const ending = this.#ending.get(slot) ?? [];
      this.#ending.set(slot, ending);
      ending.push(at);
    }
  }

  /** Returns whether any of the texts is in a text. */
  isAnyIn(text: string, from = 0, until = text.length): boolean {
    return this.find(text, from, until, () => true);
  }

  /**
   * Searches for what begins from one place up to another one. Returns whether the search was ended by `onFound`. Texts
   * shorter than a block are found first, all others in the order of their places.
   */
  find(text: string, from: number, until: number, onFound: OnFound): boolean {
    return this.#findTiny(text, from, until, onFound) || this.#findOthers(text, from, until, onFound);
  }

  #findTiny(text: string, from: number, until: number, onFound: OnFound): boolean {
    for (const tiny of this.#tiny) {
      const wanted = this.#texts[tiny]!;
      const end = Math.min(text.length, until + wanted.length - 1);
      for (let at = from; at + wanted.length <= end; at += 1)
        if (text.startsWith(wanted, at) && onFound(tiny, at, wanted.length)) return true;
    }
    return false;
  }

  #findOthers(text: string, from: number, until: number, onFound: OnFound): boolean {
    if (this.#ending.size === 0) return false;
    const steps = this.#steps;
    const before = this.#window - 1;
    const last = Math.min(text.length, until + before);
    for (let end = from + before; end < last; ) {
      const slot = slotAt(text, end);
      const step = steps[slot]!;
      if (step > 0) {
        end += step;
        continue;
      }
      const at = end - before;
      for (const number of this.#ending.get(slot)!) {
        const wanted = this.#texts[number]!;
        if (text.startsWith(wanted, at) && onFound(number, at, wanted.length)) return true;
      }
      end += 1;
    }
    return false;
  }
}

/** Returns the slot of the block that ends at a character. */
function slotAt(text: string, end: number): number {
  const hash = (text.charCodeAt(end - 2) * 961 + text.charCodeAt(end - 1)) * 31 + text.charCodeAt(end);
  return hash & (SLOTS - 1);
}
