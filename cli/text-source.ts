/**
 * The sources of a command's text: files, and standard input under the name `-`.
 *
 * Invariant 1: a text is returned as it is written, or not at all: bytes that are not UTF-8 are refused.
 * Invariant 2: standard input is read by one part of a command; a second one is refused.
 * Invariant 3: at most a bound is read from any path: a device has no end.
 */
import { createReadStream } from 'node:fs';
import { UsageError } from './failure.ts';

export interface TextSource {
  /** The text of a file, or of standard input for `-`. Throws UsageError. */
  read(path: string): Promise<string>;
}

/** Several times the default limit of an engine. */
const MAX_BYTES = 64 * 1_024 * 1_024;

/** The sources of one command. */
export function createTextSource(standardInput: NodeJS.ReadableStream = process.stdin): TextSource {
  let isTaken = false;
  return {
    async read(path) {
      if (path !== '-') return decode(path, await readBytes(path));
      if (isTaken) throw new UsageError('standard input can be read once; give the other text as a file');
      isTaken = true;
      return decode('standard input', await readAll('standard input', standardInput));
    },
  };
}

async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return await readAll(path, createReadStream(path));
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`cannot read ${path}: ${(error as NodeJS.ErrnoException).code ?? error}`);
  }
}

async function readAll(name: string, stream: AsyncIterable<unknown>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stream) {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : (chunk as Uint8Array);
    size += bytes.byteLength;
    // Leaving the loop closes the stream.
    if (size > MAX_BYTES)
      throw new UsageError(`${name} has more than ${MAX_BYTES >> 20} MiB; give a smaller text`);
    chunks.push(bytes);
  }
  return Buffer.concat(chunks, size);
}

function decode(name: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new UsageError(`${name} is not UTF-8 text; save it as UTF-8`);
  }
}
