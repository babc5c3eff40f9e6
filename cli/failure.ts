/**
 * The failures of a command: the exit codes, and the text on stderr.
 */

import { EngineProblem, EngineUnreachable } from '../client/engine-client.ts';
import type { ExecutionStatus } from '../core/status.ts';
import { visibleLines, visibleText } from '../core/text/visible.ts';
import type { ProblemBody } from '../services/template-answers.ts';

export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  ended: 3,
  refused: 4,
  unavailable: 5,
  interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** The meaning of each code, for `--help` and in the words of docs/cli.md. */
export const EXIT_MEANINGS: readonly (readonly [code: ExitCode, meaning: string])[] = [
  [EXIT.ok, 'it worked; for `run` and `--wait`: the execution completed'],
  [EXIT.failed, 'the execution failed; `validate` or `doctor` found something'],
  [EXIT.usage, 'wrong usage; nothing was asked of an engine'],
  [EXIT.ended, 'the execution was cancelled, or its timeout was over'],
  [EXIT.refused, 'the engine refused it: not found, not valid, not allowed, too much to do'],
  [EXIT.unavailable, 'no engine answers, or it could not do it now'],
  [EXIT.interrupted, 'interrupted; the execution may go on'],
];

/** The command cannot do what it was told; the message says what to change. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** The command worked and the answer is bad; its text has been written already. */
export class Failed extends Error {
  override readonly name = 'Failed';
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode = EXIT.failed) {
    super();
    this.exitCode = exitCode;
  }
}

/** The exit code for an execution that is over. */
export function exitCodeOf(status: ExecutionStatus): ExitCode {
  if (status === 'completed') return EXIT.ok;
  return status === 'failed' ? EXIT.failed : EXIT.ended;
}

/** Writes the failure and returns its exit code. Unexpected errors are rethrown. */
export function reportFailure(error: unknown, writeLine: (line: string) => void): ExitCode {
  const write = (text: string) => writeLine(visibleLines(text));
  if (error instanceof Failed) return error.exitCode;
  if (error instanceof UsageError) {
    write(`error: ${error.message}`);
    return EXIT.usage;
  }
  if (error instanceof EngineUnreachable) {
    write(`error: ${error.message}`);
    write(adviceOn(error));
    return EXIT.unavailable;
  }
  if (error instanceof EngineProblem) {
    write(visibleText(`error: ${error.message}`));
    for (const problem of error.problems) {
      const isSaid = problem.message === error.message;
      write(visibleText(problemLine('', isSaid ? { ...problem, message: '' } : problem)));
    }
    if (error.status === 429) write('Nothing was changed; try again later.');
    if (error.status === 401) write('Give a key with --token or EXECUTION_ENGINE_TOKEN.');
    return error.status >= 500 ? EXIT.unavailable : EXIT.refused;
  }
  throw error;
}

function adviceOn({ timedOut, status }: EngineUnreachable): string {
  const other = 'name another one with --url or EXECUTION_ENGINE_URL.';
  if (timedOut)
    return `If an engine is there, it hangs or is cut off: look at its log and its /health, or restart it; or ${other}`;
  if (status !== null)
    return `Something else answers there, or a proxy whose engine is away: start it, or ${other}`;
  return `Start an engine with \`npm start\`, or ${other}`;
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
