/**
 * `start` and `run`: executions of a template and of a file.
 *
 * Invariant 1: a start that is sent again makes one execution only: each start has an idempotency key.
 */

import { randomUUID } from 'node:crypto';
import { visibleText } from '../core/text/visible.ts';
import type { StartItem, StartResult } from '../services/execution-answers.ts';
import { type CommonOptions, connectionOf } from './common-options.ts';
import type { Connection } from './connection.ts';
import { readDefinition } from './definition-file.ts';
import { followToEnd, tellEnd } from './follow.ts';
import { parseInputs } from './input.ts';
import { withNearestName } from './missing-template.ts';
import { printJson, printLine, writeLine } from './output.ts';
import { publishedLine, publishFile } from './templates.ts';
import { createTextSource, type TextSource } from './text-source.ts';

export interface StartOptions extends CommonOptions {
  input: string[];
  templateVersion?: number | undefined;
  idempotencyKey?: string | undefined;
  priority?: number | undefined;
  tag: string[];
  startAfter?: string | undefined;
  callbackUrl?: string | undefined;
  wait?: boolean | undefined;
}

/** Starts an execution of a published template. */
export async function start(template: string, options: StartOptions): Promise<void> {
  const connection = connectionOf(options);
  const item = await startItem(options, createTextSource());
  const started = await withNearestName(connection, template, () =>
    startOnce(connection, { ...item, template, version: options.templateVersion }),
  );
  if (options.wait) return printEnd(connection, started.execution_id, options);
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
  await printEnd(connection, started.execution_id, options);
}

async function startItem(options: StartOptions, source: TextSource): Promise<StartItem> {
  return {
    inputs: await parseInputs(options.input, source),
    idempotency_key: options.idempotencyKey,
    priority: options.priority,
    tags: options.tag.length > 0 ? options.tag : undefined,
    start_after: options.startAfter,
    callback_url: options.callbackUrl,
  };
}

/** An execution that our own key finds was made by a start whose answer got lost. */
async function startOnce({ ask }: Connection, item: StartItem): Promise<StartResult> {
  const key = item.idempotency_key ?? randomUUID();
  const started = await ask((client) => client.start({ ...item, idempotency_key: key }));
  return { ...started, created: started.created || item.idempotency_key === undefined };
}

/** Follows the execution, and prints its outputs, or with `-o json` all of it. */
export async function printEnd(
  connection: Connection,
  executionId: string,
  options: CommonOptions,
): Promise<void> {
  writeLine(visibleText(`execution ${executionId}`));
  const execution = await followToEnd(connection, executionId, options);
  if (options.output === 'json') printJson(execution);
  tellEnd(execution);
  if (options.output === 'table') printJson(execution.outputs);
}
