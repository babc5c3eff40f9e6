/**
 * Where a command writes: its result to stdout, everything else to stderr, so that a result can be piped.
 *
 * Invariant 1: a reader that goes away (`| head -1`) ends the output and nothing else.
 * Invariant 2: what was written before `flushOutput` resolves is not lost when the process exits.
 */
import { visibleLines } from '../core/text/visible.ts';

const unfinished = new Set<Promise<void>>();
let failure: string | null = null;

// Each write is told its own error; without a listener the stream's one would end the process.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

/** Prints a value so that a terminal shows all of it; it stays the same value. */
export function printJson(value: unknown): void {
  printLine(visibleLines(JSON.stringify(value, null, 2)));
}

export function printLine(line: string): void {
  write(process.stdout, line);
}

export function writeLine(line: string): void {
  write(process.stderr, line);
}

/** Waits for everything that was written. Returns why some of it could not be, null when its reader has it or left. */
export async function flushOutput(): Promise<string | null> {
  await Promise.all(unfinished);
  return failure;
}

function write(stream: NodeJS.WriteStream, line: string): void {
  const writing = new Promise<void>((resolve) => {
    stream.write(`${line}\n`, (error: NodeJS.ErrnoException | null | undefined) => {
      if (error && error.code !== 'EPIPE') failure ??= error.code ?? error.message;
      resolve();
    });
  });
  unfinished.add(writing);
  writing.finally(() => unfinished.delete(writing));
}
