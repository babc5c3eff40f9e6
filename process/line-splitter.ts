/**
 * The lines of a stream that comes in pieces: a line is given when it is whole.
 *
 * Invariant: no more than the longest line and a piece is held, however long a line is.
 */
import { cutText } from '../core/text/cut.ts';

export class LineSplitter {
  readonly #maxLength: number;
  readonly #onLine: (line: string) => void;
  #begun = '';

  /** @param maxLength of a line, in characters; what is longer is cut */
  constructor(maxLength: number, onLine: (line: string) => void) {
    this.#maxLength = maxLength;
    this.#onLine = onLine;
  }

  push(piece: string): void {
    const lines = piece.split('\n');
    for (const [at, part] of lines.entries()) {
      // One character more than is shown, so that the cut is seen.
      this.#begun += part.slice(0, this.#maxLength + 1 - this.#begun.length);
      if (at < lines.length - 1) this.end();
    }
  }

  /** The stream is over, and its last line needs no end. */
  end(): void {
    const line = this.#begun;
    this.#begun = '';
    if (line.trim() !== '') this.#onLine(cutText(line, this.#maxLength));
  }
}
