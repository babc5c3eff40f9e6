/**
 * `explain`: why an execution is not final, as a table that fits the terminal, followed by the sentences.
 */
import { cutText } from '../core/text/cut.ts';
import { visibleText } from '../core/text/visible.ts';
import type { ExplainedStepBody, SpentBody } from '../services/explain/answers.ts';
import { type CommonOptions, connectionOf } from './common-options.ts';
import { printJson, printLine, writeLine } from './output.ts';
import { waitText } from './steps/wait-text.ts';
import { formatDuration, formatSpan, table } from './terminal.ts';

export interface ExplainOptions extends CommonOptions {
  scope?: string | undefined;
  cursor?: string | undefined;
  history?: boolean | undefined;
}

/** Space between two columns. */
const GAP = 2;
const LEAST_WIDTH = 20;
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
    printLine(`${table(HEADING, fitted(rows, process.stdout.columns))}\n`);
  }
  if (body.history !== null && body.history.length > 0)
    printLine(`${table(SPENT_HEADING, body.history.map(spentRow))}\n`);
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

/** Cuts the last column, so that a row fits into a line. @param width undefined: any length fits */
function fitted(rows: readonly string[][], width: number | undefined): string[][] {
  if (width === undefined) return [...rows];
  const first = HEADING.slice(0, -1).map((name, column) =>
    Math.max(name.length, ...rows.map((row) => visibleText(row[column]!).length)),
  );
  const left = width - first.reduce((sum, each) => sum + each + GAP, 0);
  return rows.map((row) => [...row.slice(0, -1), cutText(row.at(-1)!, Math.max(LEAST_WIDTH, left))]);
}

function spentRow({ key, scope, status, waited, ran_ms }: SpentBody): string[] {
  const { inputs_ms, limit_ms, worker_ms, backoff_ms, parked_ms } = waited;
  const spans = [inputs_ms, limit_ms, worker_ms, backoff_ms, parked_ms, ran_ms];
  const name = scope === '' ? key : `${scope}/${key}`;
  return [name, status, ...spans.map((ms) => (ms === null ? '?' : formatDuration(ms)))];
}
