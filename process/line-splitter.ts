/**
 * Splits a stream of chunks into lines: a line is passed on once it is complete.
 *
 * Invariant: at most one line of the longest length and one chunk are held, however long a line is.
 */
import { cutText } from '../core/text/cut.ts';

export class LineSplitter {
  readonly #maxLength: number;
  readonly #onLine: (line: string) => void;
  #begun = '';

  /** @param maxLength most characters of a line; the rest is cut off */
  constructor(maxLength: number, onLine: (line: string) => void) {
    this.#maxLength = maxLength;
    this.#onLine = onLine;
  }

  push(piece: string): void {
    const lines = piece.split('\n');
    for (const [at, part] of lines.entries()) {
      // Keeps one character more than the maximum, so that the cut is detected.
      this.#begun += part.slice(0, this.#maxLength + 1 - this.#begun.length);
      if (at < lines.length - 1) this.end();
    }
  }

  /** Ends the stream; its last line may lack a line break. */
  end(): void {
    const line = this.#begun;
    this.#begun = '';
    if (line.trim() !== '') this.#onLine(cutText(line, this.#maxLength));
  }
}
