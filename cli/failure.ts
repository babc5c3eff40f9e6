/**
 * How a command ends badly: the exit codes, and what is written to stderr.
 *
 * 0 it worked; 1 the run failed, something was not found or not valid; 2 wrong usage, or no engine answers.
 */
import { EngineProblem, EngineUnreachable } from '../client/engine-client.ts';
import type { ProblemBody } from '../services/service-types.ts';

export const EXIT = { ok: 0, failed: 1, usage: 2, interrupted: 130 } as const;

/** The command cannot do what it was told; the message says what to change. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** The command worked and the answer is bad; everything has been said already. */
export class Failed extends Error {
  override readonly name = 'Failed';
}

/** Writes what went wrong and returns the exit code for it. Errors nobody expected are rethrown. */
export function reportFailure(error: unknown, write: (line: string) => void): number {
  if (error instanceof Failed) return EXIT.failed;
  if (error instanceof UsageError) {
    write(`error: ${error.message}`);
    return EXIT.usage;
  }
  if (error instanceof EngineUnreachable) {
    write(`error: ${error.message}`);
    write('Start an engine with `npm start`, or name another one with --url or EXECUTION_ENGINE_URL.');
    return EXIT.usage;
  }
  if (error instanceof EngineProblem) {
    write(`error: ${error.message}`);
    for (const problem of error.problems) write(problemLine('', problem));
    if (error.status === 429) write('The engine has too much to do. Nothing was changed; try again later.');
    if (error.status === 401) write('Give a key with --token or EXECUTION_ENGINE_TOKEN.');
    return EXIT.failed;
  }
  throw error;
}

/** `file:pointer code message`, with the line of the file when it is known. */
export function problemLine(
  file: string,
  { pointer, code, message }: ProblemBody,
  line: number | null = null,
): string {
  const place = file === '' ? pointer : `${file}:${pointer}`;
  return `${place} ${code} ${message}${line === null ? '' : ` (line ${line})`}`.trim();
}
