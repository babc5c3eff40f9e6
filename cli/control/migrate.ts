/**
 * `migrate`.
 */
import { visibleText } from '../../core/text/visible.ts';
import { type CommonOptions, connectionOf } from '../common-options.ts';
import { UsageError } from '../failure.ts';
import { printJson, printLine } from '../output.ts';
import { printDryRun } from './dry-run.ts';

export interface MigrateOptions extends CommonOptions {
  /** `old=new`. */
  map: string[];
  dryRun?: boolean | undefined;
}

/** Moves an execution to another version of its template. */
export async function migrate(executionId: string, version: string, options: MigrateOptions): Promise<void> {
  const map = Object.fromEntries(options.map.map(pairOf));
  if (!/^[1-9]\d{0,8}$/.test(version))
    throw new UsageError(`version ${visibleText(version)} is not a whole number from 1`);
  const body = { execution_id: executionId, version: Number(version), map, dry_run: options.dryRun };
  const answer = await connectionOf(options).ask((client) => client.migrate(body));
  if ('dry_run' in answer) printDryRun(answer, options);
  else if (options.output === 'json') printJson(answer);
  else printLine(visibleText(`execution ${answer.execution_id} ${answer.status}, version ${answer.version}`));
}

function pairOf(text: string): [old: string, now: string | null] {
  const [, old, now] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  if (old === undefined || now === undefined)
    throw new UsageError(`--map ${visibleText(text)} is not old=new`);
  return [old, now === 'null' ? null : now];
}
