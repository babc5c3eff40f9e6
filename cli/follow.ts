/**
 * Following an execution to its end, with its progress on stderr.
 *
 * Invariant 1: an engine that goes away for a while (a restart) does not end the command: both the execution and the
 * command go on when the engine is back.
 * Invariant 2: a command that leaves before the end says what is known of the execution: it looks once more.
 */
import { EngineProblem, type ExecutionStatusBody, isFinal } from '../client/engine-client.ts';
import { visibleText } from '../core/text/visible.ts';
import { type CommonOptions, connectionOf, pasteable } from './common-options.ts';
import type { Connection } from './connection.ts';
import { EXIT, exitCodeOf, Failed } from './failure.ts';
import { News } from './history/news.ts';
import { writeLine } from './output.ts';
import { createProgress, type Progress } from './progress.ts';
import { paintStatus } from './terminal.ts';

/** The time of the last look before the command leaves. */
const LAST_LOOK_MS = 2_000;

/**
 * Follows an execution to its end and returns it. Throws the errors of `ask`, and Failed when the command is
 * interrupted.
 */
export async function followToEnd(
  connection: Connection,
  executionId: string,
  options: CommonOptions,
): Promise<ExecutionStatusBody> {
  const interruption = new AbortController();
  const interrupt = () => interruption.abort(new Failed(EXIT.interrupted));
  // A second signal ends the process at once.
  process.once('SIGINT', interrupt);
  try {
    return await follow(connection, executionId, createProgress(process.stderr), interruption.signal);
  } catch (error) {
    if (interruption.signal.aborted) writeLine('');
    if (!isRefusal(error)) await tellWhereabouts(executionId, options);
    throw error;
  } finally {
    process.off('SIGINT', interrupt);
  }
}

/** Says on stderr how an execution ended. Throws Failed unless it completed. */
export function tellEnd(execution: ExecutionStatusBody): void {
  writeLine(endLine(execution));
  if (execution.status !== 'completed') throw new Failed(exitCodeOf(execution.status));
}

/** Shows the execution until it is final and returns it. */
async function follow(
  { ask, client }: Connection,
  executionId: string,
  progress: Progress,
  signal: AbortSignal,
): Promise<ExecutionStatusBody> {
  const interrupted = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  const over = new AbortController();
  let news: News | null = null;
  try {
    for (;;) {
      const looking = ask((engine) => engine.status(executionId, { signal }));
      const execution = await Promise.race([looking, interrupted]);
      progress.show(execution);
      if (isFinal(execution.status)) return execution;
      news ??= new News(client, executionId, over.signal);
      await Promise.race([news.next(), interrupted]);
    }
  } finally {
    over.abort();
    progress.close();
  }
}

/** Returns whether the engine said no: it is there, and the execution may not even exist. */
function isRefusal(error: unknown): boolean {
  return error instanceof EngineProblem && error.status < 500;
}

/** Looks once more, since the execution may have ended while the command could not see it. */
async function tellWhereabouts(executionId: string, options: CommonOptions): Promise<void> {
  const look = `look at it with: ${pasteable(['status', executionId], options)}`;
  const { client } = connectionOf(options, LAST_LOOK_MS);
  const execution = await client.status(executionId).catch(() => null);
  if (execution === null) {
    writeLine(`execution ${visibleText(executionId)} may go on or have ended; ${look}`);
  } else if (isFinal(execution.status)) {
    writeLine(endLine(execution));
  } else {
    writeLine(visibleText(`execution ${executionId} goes on; ${look}`));
    writeLine(`stop it with: ${pasteable(['stop', executionId], options)}`);
  }
}

function endLine({ execution_id, status, error }: ExecutionStatusBody): string {
  const id = visibleText(execution_id);
  if (status === 'completed') return `execution ${id} ${paintStatus(process.stderr, status)}`;
  const where = error?.step ? ` at step ${error.step}` : '';
  const why = error === null ? '' : `${where}: ${error.code} ${error.message}`;
  return visibleText(`execution ${execution_id} ${status}${why}`);
}
