/**
 * `list`, `stop` and `cancel`.
 */
import { isFinal } from '../client/engine-client.ts';
import { innermostCause } from '../core/children/child-failure.ts';
import { EXECUTION_STATUSES } from '../core/status.ts';
import { visibleText } from '../core/text/visible.ts';
import type { ExecutionListItem, StopResult } from '../services/execution-answers.ts';
import { type CommonOptions, connectionOf } from './common-options.ts';
import { UsageError } from './failure.ts';
import { printJson, printLine, writeLine } from './output.ts';
import { fittingTable } from './terminal.ts';

export interface ListOptions extends CommonOptions {
  status?: string | undefined;
  template?: string | undefined;
  tag?: string | undefined;
  since?: string | undefined;
  until?: string | undefined;
  search?: string | undefined;
  sort?: string | undefined;
  parent?: string | undefined;
  root?: string | undefined;
  limit?: number | undefined;
  cursor?: string | undefined;
}

type EndOptions = CommonOptions & { reason?: string | undefined };

const MAX_ERROR_WIDTH = 60;
const SORTS = ['created_at', 'duration'] as const;

/** Asks an execution to stop. */
export async function stop(executionId: string, options: EndOptions): Promise<void> {
  printEnd(await connectionOf(options).ask((client) => client.stop(executionId, options.reason)), options);
}

/** Ends an execution at once. */
export async function cancel(executionId: string, options: EndOptions): Promise<void> {
  printEnd(await connectionOf(options).ask((client) => client.cancel(executionId, options.reason)), options);
}

/** Lists executions, newest first. */
export async function list(options: ListOptions): Promise<void> {
  const { template, tag, since, until, search: q, parent, root, limit, cursor } = options;
  const status = oneOf('--status', EXECUTION_STATUSES, options.status);
  const sort = oneOf('--sort', SORTS, options.sort);
  const filter = { status, template, tag, since, until, q, sort, parent, root, limit, cursor };
  const page = await connectionOf(options).ask((client) => client.listExecutions(filter));
  if (options.output === 'json') return printJson(page);
  const heading = ['EXECUTION', 'STATUS', 'TEMPLATE', 'VERSION', 'CREATED', 'TAGS', 'ERROR'];
  printLine(fittingTable(process.stdout, heading, page.data.map(listRow)));
  if (page.next_cursor !== null) writeLine(visibleText(`more with --cursor ${page.next_cursor}`));
}

function oneOf<T extends string>(
  option: string,
  values: readonly T[],
  value: string | undefined,
): T | undefined {
  if (value === undefined) return undefined;
  const found = values.find((one) => one === value);
  if (found !== undefined) return found;
  throw new UsageError(`${option} ${visibleText(value)} is not one of ${values.join(', ')}`);
}

function listRow({ execution_id, status, template, version, created_at, tags, error }: ExecutionListItem) {
  const list = tags.length === 0 ? null : tags.join(',');
  return [execution_id, status, template, version, created_at, list, errorCell(error)];
}

function errorCell(error: ExecutionListItem['error'] | undefined): string | null {
  if (error === null || error === undefined) return null;
  const text = visibleText(
    `${error.step === null ? '' : `${error.step}: `}${error.code} ${innermostCause(error)}`,
  );
  return text.length > MAX_ERROR_WIDTH ? `${text.slice(0, MAX_ERROR_WIDTH - 1)}…` : text;
}

function printEnd(ended: StopResult, options: CommonOptions): void {
  if (options.output === 'json') printJson(ended);
  else printLine(visibleText(`execution ${ended.execution_id} ${endOf(ended)}`));
}

/** Stopping makes no other final status than `cancelled`: with another one there was nothing to stop. */
function endOf({ status, stop_requested }: StopResult): string {
  if (status === 'cancelled') return status;
  if (isFinal(status)) return `was already ${status}; nothing was stopped`;
  if (status === 'compensating')
    return stop_requested
      ? `${status}: what has completed is undone, then it is cancelled`
      : `was already ${status}: what has completed is undone before it ends; nothing was stopped (cancel ends it at once)`;
  return stop_requested ? `${status}, stop requested` : status;
}
