/**
 * The output of a command: its result goes to stdout, everything else to stderr, so that a result can be piped.
 *
 * Invariant 1: a reader that goes away (`| head -1`) ends the output only.
 * Invariant 2: output from before `flushOutput` resolves is not lost when the process exits.
 * Invariant 3: the caller's own key is never written, nor the password of a URL to stderr, and the only control
 * sequences are colours.
 */
import type { Json } from '../core/json/json.ts';
import { createMasker } from '../core/masking/masker.ts';
import { hideCredentials } from '../core/text/credentials.ts';
import { visibleLines } from '../core/text/visible.ts';

/** Masking a shorter key would damage other text; engines take no shorter keys. */
const SHORTEST_KEY = 8;
/** The control sequences that `styleText` writes. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: an escape sequence begins with one.
const COLOURS = /(\u001b\[\d+m)/;

let masker = createMasker([]);

/** The key that is never written. */
export function hideKey(key: string): void {
  if (key.length >= SHORTEST_KEY) masker = createMasker([key]);
}

const unfinished = new Set<Promise<void>>();
let failure: string | null = null;

// Each write reports its own error; without a listener the stream's error would end the process.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

/** Prints a value so that a terminal shows all of it; it stays the same value, but for the caller's key. */
export function printJson(value: unknown): void {
  write(process.stdout, JSON.stringify(masker.value(value as Json), null, 2));
}

export function printLine(line: string): void {
  write(process.stdout, masker.text(line));
}

export function writeLine(line: string): void {
  write(process.stderr, shownLine(line));
}

/** Waits until everything is written. Returns the reason when that fails, null when the reader has it or left. */
export async function flushOutput(): Promise<string | null> {
  await Promise.all(unfinished);
  return failure;
}

/** A line for people. */
export function shownLine(line: string): string {
  return hideCredentials(masker.text(line));
}

function write(stream: NodeJS.WriteStream, text: string): void {
  const line = visibleBetweenColours(text);
  const writing = new Promise<void>((resolve) => {
    stream.write(`${line}\n`, (error: NodeJS.ErrnoException | null | undefined) => {
      if (error && error.code !== 'EPIPE') failure ??= error.code ?? error.message;
      resolve();
    });
  });
  unfinished.add(writing);
  writing.finally(() => unfinished.delete(writing));
}

function visibleBetweenColours(text: string): string {
  const parts = text.split(COLOURS);
  return parts.map((part, at) => (at % 2 === 0 ? visibleLines(part) : part)).join('');
}
