/**
 * Where a command reads text from: files, and standard input under the name `-`.
 *
 * Invariant 1: a text is returned as it is written, or not at all: bytes that are no UTF-8 are refused.
 * Invariant 2: standard input is read by one part of a command; a second one is refused.
 */
import { readFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { UsageError } from './failure.ts';

export interface TextSource {
  /** The text of a file, or of standard input for `-`. Throws UsageError. */
  read(path: string): Promise<string>;
}

/** The sources of one command. */
export function createTextSource(standardInput: NodeJS.ReadableStream = process.stdin): TextSource {
  let isTaken = false;
  return {
    async read(path) {
      if (path !== '-') return decode(path, await readBytes(path));
      if (isTaken) throw new UsageError('standard input can be read once; give the other text as a file');
      isTaken = true;
      return decode('standard input', await buffer(standardInput));
    },
  };
}

async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new UsageError(`cannot read ${path}: ${(error as NodeJS.ErrnoException).code ?? error}`);
  }
}

function decode(name: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new UsageError(`${name} is not UTF-8 text; save it as UTF-8`);
  }
}
