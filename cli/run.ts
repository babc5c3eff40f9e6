/**
 * Follows an execution to its end and tells how it ended.
 *
 * Invariant 1: an engine that goes away for a while (a restart) does not end the command: the execution goes on
 * when the engine is back, and so does this.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type EngineClient, EngineUnreachable, isFinal } from '../client/engine-client.ts';
import type { ExecutionStatusBody } from '../services/service-types.ts';
import { Failed } from './failure.ts';
import type { Progress } from './progress.ts';
import { clean } from './terminal.ts';

/** Between two looks at a running execution. */
const LOOK_EVERY_MS = 200;
/** How long the engine may be away. */
const PATIENCE_MS = 60_000;

/** The execution in its final state. Throws EngineProblem, or EngineUnreachable when the engine stays away. */
export async function follow(
  client: Pick<EngineClient, 'status'>,
  executionId: string,
  progress: Progress,
): Promise<ExecutionStatusBody> {
  try {
    for (;;) {
      const lookedAt = performance.now();
      const execution = await readPatiently(client, executionId, progress);
      progress.show(execution);
      if (isFinal(execution.status)) return execution;
      await sleep(Math.max(0, LOOK_EVERY_MS - (performance.now() - lookedAt)));
    }
  } finally {
    progress.close();
  }
}

/** Throws Failed, with the reason written, unless the execution completed. */
export function requireCompleted(
  { execution_id, status, error }: ExecutionStatusBody,
  write: (line: string) => void,
): void {
  if (status === 'completed') return;
  const where = error?.step ? ` at step ${error.step}` : '';
  const why = error === null ? '' : `${where}: ${error.code} ${error.message}`;
  write(clean(`execution ${execution_id} ${status}${why}`));
  throw new Failed();
}

async function readPatiently(
  client: Pick<EngineClient, 'status'>,
  executionId: string,
  progress: Progress,
): Promise<ExecutionStatusBody> {
  const giveUpAt = performance.now() + PATIENCE_MS;
  for (let told = false; ; told = true) {
    try {
      return await client.status(executionId, { wait: `${LOOK_EVERY_MS}ms` });
    } catch (error) {
      if (!(error instanceof EngineUnreachable) || performance.now() > giveUpAt) throw error;
      if (!told) progress.note('the engine is away; waiting for it to come back');
      await sleep(LOOK_EVERY_MS);
    }
  }
}
