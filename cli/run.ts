/**
 * Starting executions, and following one to its end.
 *
 * Invariant 1: an engine that goes away for a while (a restart) does not end the command: both the execution and the
 * command go on when the engine is back.
 * Invariant 2: a start that is sent again makes one execution only: each start has an idempotency key.
 */

import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { isFinal } from '../client/engine-client.ts';
import { visibleText } from '../core/text/visible.ts';
import type { ExecutionStatusBody, StartItem, StartResult } from '../services/execution-answers.ts';
import { type CommonOptions, connectionOf } from './common-options.ts';
import type { Connection } from './connection.ts';
import { readDefinition } from './definition-file.ts';
import { EXIT, exitCodeOf, Failed } from './failure.ts';
import { parseInputs } from './input.ts';
import { flushOutput, printJson, printLine, writeLine } from './output.ts';
import { createProgress, type Progress } from './progress.ts';
import { publishedLine, publishFile } from './templates.ts';
import { paintStatus } from './terminal.ts';
import { createTextSource, type TextSource } from './text-source.ts';

export interface StartOptions extends CommonOptions {
  input: string[];
  templateVersion?: number | undefined;
  idempotencyKey?: string | undefined;
  priority?: number | undefined;
  tag: string[];
  wait?: boolean | undefined;
}

/** The time between two calls for the status of a running execution. */
const LOOK_EVERY_MS = 200;

/** Starts an execution of a published template. */
export async function start(template: string, options: StartOptions): Promise<void> {
  const connection = connectionOf(options);
  const item = await startItem(options, createTextSource());
  const started = await startOnce(connection, { ...item, template, version: options.templateVersion });
  if (options.wait) return followToEnd(connection, started.execution_id, options);
  if (options.output === 'json') return printJson(started);
  const existed = started.created ? '' : ' (it existed already)';
  printLine(visibleText(`execution ${started.execution_id} ${started.status}${existed}`));
}

/** Publishes a definition, runs it, shows its progress and prints its outputs. */
export async function run(path: string, options: StartOptions): Promise<void> {
  const connection = connectionOf(options);
  const source = createTextSource();
  const file = await readDefinition(path, source);
  const item = await startItem(options, source);
  const published = await publishFile(connection, file);
  writeLine(publishedLine(published));
  const { name, version } = published;
  const started = await startOnce(connection, { ...item, template: name, version });
  writeLine(visibleText(`execution ${started.execution_id}`));
  await followToEnd(connection, started.execution_id, options);
}

/** Shows the execution until it is final and returns it. Throws the errors of `ask`. */
export async function follow(
  { ask }: Pick<Connection, 'ask'>,
  executionId: string,
  progress: Progress,
): Promise<ExecutionStatusBody> {
  try {
    for (;;) {
      const lookedAt = performance.now();
      const execution = await ask((client) => client.status(executionId, { wait: `${LOOK_EVERY_MS}ms` }));
      progress.show(execution);
      if (isFinal(execution.status)) return execution;
      await sleep(Math.max(0, LOOK_EVERY_MS - (performance.now() - lookedAt)));
    }
  } finally {
    progress.close();
  }
}

async function startItem(options: StartOptions, source: TextSource): Promise<StartItem> {
  return {
    inputs: await parseInputs(options.input, source),
    idempotency_key: options.idempotencyKey,
    priority: options.priority,
    tags: options.tag.length > 0 ? options.tag : undefined,
  };
}

/** An execution that our own key finds was made by a start whose answer got lost. */
async function startOnce({ ask }: Connection, item: StartItem): Promise<StartResult> {
  const key = item.idempotency_key ?? randomUUID();
  const started = await ask((client) => client.start({ ...item, idempotency_key: key }));
  return { ...started, created: started.created || item.idempotency_key === undefined };
}

async function followToEnd(
  connection: Connection,
  executionId: string,
  options: CommonOptions,
): Promise<void> {
  const goesOn = () =>
    writeLine(`execution ${visibleText(executionId)} goes on; stop it with: stop ${executionId}`);
  const interrupted = async () => {
    writeLine('');
    goesOn();
    await flushOutput();
    process.exit(EXIT.interrupted);
  };
  process.once('SIGINT', interrupted);
  try {
    const execution = await follow(connection, executionId, createProgress(process.stderr));
    if (options.output === 'json') printJson(execution);
    tellEnd(execution);
    if (options.output === 'table') printJson(execution.outputs);
  } catch (error) {
    if (!(error instanceof Failed)) goesOn();
    throw error;
  } finally {
    process.off('SIGINT', interrupted);
  }
}

/** Throws Failed, with the reason written, unless the execution completed. */
function tellEnd({ execution_id, status, error }: ExecutionStatusBody): void {
  if (status === 'completed') {
    writeLine(`execution ${visibleText(execution_id)} ${paintStatus(process.stderr, status)}`);
    return;
  }
  const where = error?.step ? ` at step ${error.step}` : '';
  const why = error === null ? '' : `${where}: ${error.code} ${error.message}`;
  writeLine(visibleText(`execution ${execution_id} ${status}${why}`));
  throw new Failed(exitCodeOf(status));
}
