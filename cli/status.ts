/**
 * `status`: an execution and its steps, with their times, and with `--wait` their progress first.
 */
import { STEP_STATUSES, type StepStatus } from '../core/status.ts';
import { visibleText } from '../core/text/visible.ts';
import type { ExecutionStatusBody, StepStatusBody } from '../services/execution-answers.ts';
import { type CommonOptions, connectionOf } from './common-options.ts';
import { exitCodeOf, Failed } from './failure.ts';
import { followToEnd } from './follow.ts';
import { printJson, printLine } from './output.ts';
import { withCompensations } from './steps/compensations.ts';
import { waitNote } from './steps/wait-text.ts';
import { formatSpan, paintStatus, table } from './terminal.ts';

export interface StatusOptions extends CommonOptions {
  outputs?: boolean | undefined;
  wait?: boolean | undefined;
  scope?: string | undefined;
}

const MAX_PATHS = 20;

/** Shows an execution and its steps. With `wait` throws Failed unless it completed. */
export async function status(executionId: string, options: StatusOptions): Promise<void> {
  const connection = connectionOf(options);
  if (options.wait) await followToEnd(connection, executionId, options);
  const execution = await connection.ask((client) =>
    client.status(executionId, { includeOutputs: options.outputs, scope: options.scope }),
  );
  if (options.output === 'json') printJson(execution);
  else printExecution(execution, options.outputs === true);
  if (options.wait && execution.status !== 'completed') throw new Failed(exitCodeOf(execution.status));
}

function printExecution(execution: ExecutionStatusBody, withOutputs: boolean): void {
  for (const [name, text] of headOf(execution)) printLine(`${name.padEnd(9)} ${text}`);
  const heading = ['STEP', 'TYPE', 'STATUS', 'ATTEMPTS', 'STARTED', 'TOOK', 'WAITS', 'ERROR'];
  printLine(`\n${table(heading, withCompensations(execution.steps).map(rowOf))}`);
  if (!withOutputs) return;
  printLine('\noutputs of the steps');
  printJson(Object.fromEntries(execution.steps.map(({ key, outputs }) => [key, outputs ?? null])));
}

function headOf(execution: ExecutionStatusBody): [name: string, text: string][] {
  const { started_at, completed_at, resume_at, error, uncertain, not_undone } = execution;
  const head: [string, string][] = [
    [
      'execution',
      `${visibleText(execution.execution_id)} ${paintStatus(process.stdout, visibleText(execution.status))}${
        execution.stop_requested && completed_at === null ? ', stop requested' : ''
      }`,
    ],
    ['template', visibleText(`${execution.template} version ${execution.version}`)],
    ['created', visibleText(execution.created_at)],
  ];
  if (resume_at) head.push(['goes on', visibleText(resume_at)]);
  if (started_at) head.push(['started', visibleText(started_at)]);
  const took = formatSpan(started_at, completed_at);
  if (completed_at)
    head.push(['ended', visibleText(`${completed_at}${took === null ? '' : `, after ${took}`}`)]);
  head.push(['steps', summaryOf(execution)]);
  if (uncertain?.length > 0) head.push(['uncertain', pathsCell(uncertain)]);
  // An older engine does not tell them.
  if (not_undone?.length > 0) head.push(['not undone', pathsCell(not_undone)]);
  if (error)
    head.push(['error', visibleText(`${error.step ? `${error.step}: ` : ''}${error.code} ${error.message}`)]);
  return head;
}

function pathsCell(paths: readonly string[]): string {
  const more = paths.length > MAX_PATHS ? ` and ${paths.length - MAX_PATHS} more: see -o json` : '';
  return visibleText(`${paths.slice(0, MAX_PATHS).join(', ')}${more}`);
}

/** `5 of 6 completed, 1 skipped`: the numbers add up. Steps that have no row yet wait for their inputs. */
function summaryOf({ steps, progress: { total } }: ExecutionStatusBody): string {
  const counts = new Map<StepStatus, number>([['waiting_inputs', total - steps.length]]);
  for (const { status } of steps) counts.set(status, (counts.get(status) ?? 0) + 1);
  const others = STEP_STATUSES.toReversed()
    .filter((status) => status !== 'completed' && (counts.get(status) ?? 0) > 0)
    .map((status) => `${counts.get(status)} ${status}`);
  return [`${counts.get('completed') ?? 0} of ${total} completed`, ...others].join(', ');
}

function rowOf(step: StepStatusBody): (string | number | null)[] {
  const { key, type, status, attempt_count, started_at, completed_at, error } = step;
  const why = error ? `${error.code}: ${error.message}` : null;
  const took = formatSpan(started_at, completed_at);
  return [key, type, status, attempt_count, started_at ?? null, took, waitNote(step) || null, why];
}
