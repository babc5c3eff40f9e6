/**
 * `pause` and `resume`, of one execution or of all that fit.
 */
import { visibleText } from '../../core/text/visible.ts';
import type { BulkBody } from '../../services/control/bulk-answers.ts';
import { type CommonOptions, connectionOf } from '../common-options.ts';
import { UsageError } from '../failure.ts';
import { printJson, printLine } from '../output.ts';
import { printDryRun } from './dry-run.ts';

export interface PauseOptions extends CommonOptions {
  status?: string | undefined;
  template?: string | undefined;
  tag?: string | undefined;
  since?: string | undefined;
  until?: string | undefined;
  search?: string | undefined;
  limit?: number | undefined;
  cursor?: string | undefined;
  dryRun?: boolean | undefined;
}

/** @param executionId left out: all executions that fit the options */
export async function changeHold(
  act: 'pause' | 'resume',
  executionId: string | undefined,
  options: PauseOptions,
): Promise<void> {
  const { dryRun } = options;
  if (executionId === undefined) return changeMany(act, options);
  const { limit, cursor } = options;
  if ([...Object.values(filterOf(options)), limit, cursor].some((value) => value !== undefined))
    throw new UsageError(`${act} takes an execution, or options that say which ones, and not both.`);
  const answer = await connectionOf(options).ask((client) => client[act](executionId, { dryRun }));
  if ('dry_run' in answer) return printDryRun(answer, options);
  if (options.output === 'json') return printJson(answer);
  printLine(visibleText(`execution ${answer.execution_id} ${answer.status}`));
}

/** The conditions that the options state; undefined: not stated. */
function filterOf({ status, template, tag, since, until, search: q }: PauseOptions) {
  return { status, template, tag, since, until, q } as NonNullable<BulkBody['filter']>;
}

async function changeMany(act: 'pause' | 'resume', options: PauseOptions): Promise<void> {
  const { limit, cursor, dryRun: dry_run } = options;
  const filter = filterOf(options);
  if (Object.values(filter).every((condition) => condition === undefined))
    throw new UsageError(`${act} takes an execution, or options that say which ones, such as --template.`);
  const body = { filter, limit, cursor, dry_run };
  const answer = await connectionOf(options).ask((client) => client.changeMany(act, body));
  if (options.output === 'json') return printJson(answer);
  const would = dry_run ? 'would change' : 'changed';
  printLine(`looked at ${answer.matched}, ${would} ${answer.changed}, refused ${answer.refused.length}`);
  for (const { execution_id, code } of answer.refused) printLine(visibleText(`${execution_id} ${code}`));
  if (answer.next_cursor !== null) printLine(visibleText(`more with --cursor ${answer.next_cursor}`));
}
