/**
 * The commands about existing executions: show, list, stop, cancel.
 */

import { EXECUTION_STATUSES, type ExecutionStatus } from '../core/status.ts';
import { visibleText } from '../core/text/visible.ts';
import type { ExecutionListItem, ExecutionStatusBody, StopResult } from '../services/execution-answers.ts';
import { type CommonOptions, connectionOf } from './common-options.ts';
import { UsageError } from './failure.ts';
import { printJson, printLine, writeLine } from './output.ts';
import { paintStatus, table } from './terminal.ts';

export interface ListOptions extends CommonOptions {
  status?: string | undefined;
  template?: string | undefined;
  tag?: string | undefined;
  limit?: number | undefined;
  cursor?: string | undefined;
}

type EndOptions = CommonOptions & { reason?: string | undefined };

const MAX_ERROR_WIDTH = 60;

/** Shows an execution and its steps. */
export async function status(
  executionId: string,
  options: CommonOptions & { outputs?: boolean | undefined },
): Promise<void> {
  const execution = await connectionOf(options).ask((client) =>
    client.status(executionId, { includeOutputs: options.outputs }),
  );
  if (options.output === 'json') return printJson(execution);
  printExecution(execution);
}

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
  const { status: wanted, template, tag, limit, cursor } = options;
  if (wanted !== undefined && !EXECUTION_STATUSES.includes(wanted as ExecutionStatus)) {
    throw new UsageError(`--status ${visibleText(wanted)} is not one of ${EXECUTION_STATUSES.join(', ')}`);
  }
  const filter = { status: wanted as ExecutionStatus | undefined, template, tag, limit, cursor };
  const page = await connectionOf(options).ask((client) => client.listExecutions(filter));
  if (options.output === 'json') return printJson(page);
  const heading = ['EXECUTION', 'STATUS', 'TEMPLATE', 'VERSION', 'CREATED', 'TAGS', 'ERROR'];
  printLine(table(heading, page.data.map(listRow)));
  if (page.next_cursor !== null) writeLine(visibleText(`more with --cursor ${page.next_cursor}`));
}

function listRow({ execution_id, status, template, version, created_at, tags, error }: ExecutionListItem) {
  const list = tags.length === 0 ? null : tags.join(',');
  return [execution_id, status, template, version, created_at, list, errorCell(error)];
}

function errorCell(error: ExecutionListItem['error'] | undefined): string | null {
  if (error === null || error === undefined) return null;
  const text = visibleText(`${error.step === null ? '' : `${error.step}: `}${error.code} ${error.message}`);
  return text.length > MAX_ERROR_WIDTH ? `${text.slice(0, MAX_ERROR_WIDTH - 1)}…` : text;
}

function printEnd(ended: StopResult, options: CommonOptions): void {
  const pending = ended.stop_requested && ended.status === 'running' ? ', stop requested' : '';
  if (options.output === 'json') printJson(ended);
  else printLine(visibleText(`execution ${ended.execution_id} ${ended.status}${pending}`));
}

function printExecution(execution: ExecutionStatusBody): void {
  const { progress, error } = execution;
  printLine(
    `execution ${visibleText(execution.execution_id)} ${paintStatus(process.stdout, visibleText(execution.status))}`,
  );
  printLine(visibleText(`template  ${execution.template} version ${execution.version}`));
  printLine(
    `steps     ${progress.completed} of ${progress.total} completed, ${progress.failed} failed, ${progress.running} running`,
  );
  if (execution.resume_at !== null) printLine(visibleText(`goes on   ${execution.resume_at}`));
  if (error !== null)
    printLine(
      visibleText(`error     ${error.step === null ? '' : `${error.step}: `}${error.code} ${error.message}`),
    );
  const rows = execution.steps.map((step) => [
    step.key,
    step.type,
    step.status,
    step.attempt_count,
    step.resume_at,
    step.error?.code ?? null,
  ]);
  printLine(`\n${table(['STEP', 'TYPE', 'STATUS', 'ATTEMPTS', 'GOES ON', 'ERROR'], rows)}`);
}
