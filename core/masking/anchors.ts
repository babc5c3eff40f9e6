/**
 * A quick search for many short texts in a long one, mostly to establish that none of them is there.
 *
 * An anchor is a part of a spelling that the usual escaping leaves unchanged (letters and digits), so it appears
 * unchanged in every escaped form. The search skips as many characters at once as the shortest anchor allows
 */

/** Characters compared together. */
const BLOCK = 3;
const SLOTS = 1 << 16;
const UNCHANGED = /[A-Za-z0-9]+/g;

/** Returns the longest part that escaping leaves unchanged; null: none is long enough to search for. */
export function anchorOf(text: string): string | null {
  const runs = text.match(UNCHANGED) ?? [];
  const longest = runs.reduce((best, run) => (run.length > best.length ? run : best), '');
  return longest.length < BLOCK ? null : longest;
}

export class AnchorFinder {
  readonly #anchors: readonly string[];
  /** Length of the shortest anchor. */
  readonly #window: number;
  /** How far the search may skip after a block; 0: an anchor's first `window` characters may end here. */
  readonly #steps: Uint8Array;
  /** Anchors by the block that ends their first `window` characters. */
  readonly #ending = new Map<number, number[]>();

  /** @param anchors at least one, each long enough (see `anchorOf`) */
  constructor(anchors: readonly string[]) {
    this.#anchors = anchors;
    this.#window = Math.min(255, ...anchors.map(({ length }) => length));
    this.#steps = new Uint8Array(SLOTS).fill(this.#window - BLOCK + 1);
    for (const [at, anchor] of anchors.entries()) this.#add(anchor, at);
  }

  #add(anchor: string, at: number): void {
    for (let end = BLOCK; end <= this.#window; end += 1) {
      const slot = slotAt(anchor, end - 1);
      this.#steps[slot] = Math.min(this.#steps[slot]!, this.#window - end);
      if (end < this.#window) continue;
      const ending = this.#ending.get(slot) ?? [];
      this.#ending.set(slot, ending);
      ending.push(at);
    }
  }

  /** Returns whether any anchor is in the text. */
  isAnyIn(text: string): boolean {
    return this.#look(text, () => true);
  }

  /** Returns the numbers of the anchors that are in the text. */
  allIn(text: string): Set<number> {
    const found = new Set<number>();
    this.#look(text, (anchor) => {
      found.add(anchor);
      return false;
    });
    return found;
  }

  /** Stops at the first anchor for which `onFound` returns true, and returns whether one did. */
  #look(text: string, onFound: (anchor: number) => boolean): boolean {
    const steps = this.#steps;
    const { length } = text;
    for (let end = this.#window - 1; end < length; ) {
      const slot = slotAt(text, end);
      const step = steps[slot]!;
      if (step > 0) {
        end += step;
        continue;
      }
      const from = end - this.#window + 1;
      for (const anchor of this.#ending.get(slot)!)
        if (text.startsWith(this.#anchors[anchor]!, from) && onFound(anchor)) return true;
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
