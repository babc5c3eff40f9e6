/**
 * `fork`.
 *
 * Invariant 1: a fork that is sent again makes one execution only: each has an idempotency key.
 */
import { randomUUID } from 'node:crypto';
import { isObject, type Json } from '../../core/json/json.ts';
import { visibleText } from '../../core/text/visible.ts';
import { type CommonOptions, connectionOf } from '../common-options.ts';
import { UsageError } from '../failure.ts';
import { parseInputs } from '../input.ts';
import { printJson, printLine } from '../output.ts';
import { printEnd } from '../run.ts';
import { createTextSource } from '../text-source.ts';
import { printDryRun } from './dry-run.ts';

export interface ForkOptions extends CommonOptions {
  input: string[];
  /** `key=value`. */
  set: string[];
  templateVersion?: number | undefined;
  idempotencyKey?: string | undefined;
  dryRun?: boolean | undefined;
  wait?: boolean | undefined;
}

/** Starts an execution that reuses what another one has finished. */
export async function fork(executionId: string, from: string, options: ForkOptions): Promise<void> {
  const connection = connectionOf(options);
  const source = createTextSource();
  const body = {
    execution_id: executionId,
    from,
    inputs: await parseInputs(options.input, source),
    outputs: outputsOf(await parseInputs(options.set, source)),
    version: options.templateVersion,
    dry_run: options.dryRun,
  };
  const key = options.idempotencyKey ?? randomUUID();
  const answer = await connection.ask((client) => client.fork(body, key));
  if ('dry_run' in answer) return printDryRun(answer, options);
  if (options.wait) return printEnd(connection, answer.execution_id, options);
  const created = answer.created || options.idempotencyKey === undefined;
  if (options.output === 'json') return printJson({ ...answer, created });
  const existed = created ? '' : ' (it existed already)';
  printLine(visibleText(`execution ${answer.execution_id} ${answer.status}${existed}`));
}

function outputsOf(given: Json | undefined): Record<string, Json> | undefined {
  if (given === undefined || isObject(given)) return given as Record<string, Json> | undefined;
  throw new UsageError('--set takes key=value, or an object of keys and values');
}
