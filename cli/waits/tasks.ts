/**
 * `claim` and `heartbeat`: what a worker does with tasks. Their results are sent with `complete` and `fail`.
 *
 * Calls are made once: a claim whose answer got lost is given to another worker when its lease is over.
 */
import { hostname } from 'node:os';
import { visibleText } from '../../core/text/visible.ts';
import { parseDurationText } from '../../core/time/duration.ts';
import { type CommonOptions, connectionOf } from '../common-options.ts';
import { UsageError } from '../failure.ts';
import { printJson, printLine } from '../output.ts';
import { table } from '../terminal.ts';

export interface ClaimOptions extends CommonOptions {
  worker?: string | undefined;
  max?: number | undefined;
  wait?: string | undefined;
}

/** More than the longest wait for a task. */
const TIMEOUT_MS = 90_000;
const MAX_WAIT_MS = 60_000;
const MAX_NAME_LENGTH = 200;

/** Claims tasks of a queue, and prints them with the tokens of their claims. */
export async function claim(queue: string, options: ClaimOptions): Promise<void> {
  const { worker = hostname().slice(0, MAX_NAME_LENGTH), max, wait } = options;
  refuseLongWait(wait);
  const { client } = connectionOf(options, TIMEOUT_MS);
  const tasks = await client.claimTasks({ queue, worker, max, wait });
  if (options.output === 'json') return printJson({ tasks });
  const rows = tasks.map(({ id, token, attempt, lease_seconds, input }) => [
    id,
    token,
    attempt,
    lease_seconds,
    JSON.stringify(input),
  ]);
  printLine(table(['TASK', 'TOKEN', 'ATTEMPT', 'LEASE', 'INPUT'], rows));
}

/** The engine would answer after its longest wait, and the command end without a task before its time. */
function refuseLongWait(wait: string | undefined): void {
  const ms = wait === undefined ? 0 : parseDurationText(wait);
  if (ms !== null && ms > MAX_WAIT_MS)
    throw new UsageError(
      `--wait ${visibleText(wait!)} is longer than 60s, the longest wait of one call: claim again in a loop to wait longer`,
    );
}

/** Renews the lease of a claim. */
export async function heartbeat(taskId: string, options: CommonOptions & { claim: string }): Promise<void> {
  const renewed = await connectionOf(options).ask((client) => client.heartbeatTask(taskId, options.claim));
  if (options.output === 'json') return printJson(renewed);
  printLine(visibleText(`task ${renewed.id} is kept for ${renewed.lease_seconds} s`));
}
