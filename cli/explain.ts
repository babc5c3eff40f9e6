/**
 * `explain`: why an execution is not final, as a table that fits the terminal, followed by the sentences.
 */
import { visibleText } from '../core/text/visible.ts';
import type { ExplainedStepBody, SpentBody } from '../services/explain/answers.ts';
import { type CommonOptions, connectionOf } from './common-options.ts';
import { printJson, printLine, writeLine } from './output.ts';
import { waitText } from './steps/wait-text.ts';
import { fittingTable, formatDuration, formatSpan } from './terminal.ts';

export interface ExplainOptions extends CommonOptions {
  scope?: string | undefined;
  cursor?: string | undefined;
  history?: boolean | undefined;
}

const HEADING = ['STEP', 'STATUS', 'FOR', 'WAITS FOR'];
const SPENT_HEADING = ['STEP', 'STATUS', 'INPUTS', 'LIMIT', 'WORKER', 'BACKOFF', 'PARKED', 'RAN'];

/** Explains an execution. */
export async function explain(executionId: string, options: ExplainOptions): Promise<void> {
  const { scope, cursor, history } = options;
  const query = { execution_id: executionId, scope, cursor, history };
  const body = await connectionOf(options).ask((client) => client.explain(query));
  if (options.output === 'json') return printJson(body);
  const now = new Date().toISOString();
  if (body.steps.length > 0) {
    const rows = body.steps.map((step) => rowOf(step, now));
    printLine(`${fittingTable(process.stdout, HEADING, rows)}\n`);
  }
  if (body.history !== null && body.history.length > 0)
    printLine(`${fittingTable(process.stdout, SPENT_HEADING, body.history.map(spentRow))}\n`);
  printLine(visibleText(body.summary));
  for (const { reason } of body.steps)
    if (!body.summary.includes(reason)) printLine(visibleText(`- ${reason}`));
  if (body.next_cursor !== null) writeLine(visibleText(`more with --cursor ${body.next_cursor}`));
}

function rowOf(step: ExplainedStepBody, now: string): string[] {
  const { key, scope, status, since, waiting_for: wait } = step;
  const time = typeof wait?.at === 'string' ? `until ${wait.at}` : null;
  const name = scope === '' ? key : `${scope}/${key}`;
  return [name, status, formatSpan(since, now) ?? '-', waitText(step) ?? time ?? '-'];
}

function spentRow({ key, scope, status, waited, ran_ms }: SpentBody): string[] {
  const { inputs_ms, limit_ms, worker_ms, backoff_ms, parked_ms } = waited;
  const spans = [inputs_ms, limit_ms, worker_ms, backoff_ms, parked_ms, ran_ms];
  const name = scope === '' ? key : `${scope}/${key}`;
  return [name, status, ...spans.map((ms) => (ms === null ? '?' : formatDuration(ms)))];
}
