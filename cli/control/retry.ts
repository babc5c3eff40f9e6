/**
 * `retry`, and the commands that end steps by hand, whatever they do.
 *
 * Each call is made once: of one whose answer got lost `status` and `step` tell whether it counted.
 */
import { isObject, type Json } from '../../core/json/json.ts';
import { visibleText } from '../../core/text/visible.ts';
import { type CommonOptions, connectionOf } from '../common-options.ts';
import { UsageError } from '../failure.ts';
import { parseInputs } from '../input.ts';
import { printJson, printLine } from '../output.ts';
import { printEnd } from '../run.ts';
import { createTextSource } from '../text-source.ts';
import { printDryRun, printForced } from './dry-run.ts';

export interface RetryOptions extends CommonOptions {
  from?: string | undefined;
  only?: string | undefined;
  /** `path=value`. */
  set: string[];
  /** Paths. */
  skip: string[];
  dryRun?: boolean | undefined;
  wait?: boolean | undefined;
}

export interface SkipOptions extends CommonOptions {
  force?: boolean | undefined;
  dryRun?: boolean | undefined;
}

/** Lets an execution go on that is over. */
export async function retry(executionId: string, options: RetryOptions): Promise<void> {
  const connection = connectionOf(options);
  const body = {
    execution_id: executionId,
    from: options.from,
    only: options.only,
    outputs: outputsOf(await parseInputs(options.set, createTextSource())),
    skip: options.skip.length === 0 ? undefined : options.skip,
    dry_run: options.dryRun,
  };
  const answer = await connection.client.retry(body);
  if ('dry_run' in answer) return printDryRun(answer, options);
  if (options.wait) return printEnd(connection, executionId, options);
  if (options.output === 'json') printJson(answer);
  else printLine(visibleText(`execution ${executionId} ${answer.status}`));
}

/** Skips a step. */
export async function skip(stepId: string, { force, dryRun, ...options }: SkipOptions): Promise<void> {
  const { client } = connectionOf(options);
  printForced(await client.forceStep(stepId, 'skip', { force, dry_run: dryRun }), options);
}

function outputsOf(given: Json | undefined): Record<string, Json> | undefined {
  if (given === undefined || isObject(given)) return given as Record<string, Json> | undefined;
  throw new UsageError('--set takes path=value, or an object of paths and values');
}
