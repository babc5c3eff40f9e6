/**
 * `events` and `logs`: what happened to an execution, and what its handlers have logged. With `--follow` to its end.
 */
import type { AttemptBody, EventBody } from '../../client/engine-client.ts';
import { isFinal } from '../../client/engine-client.ts';
import type { ExecutionStatus } from '../../core/status.ts';
import { visibleText } from '../../core/text/visible.ts';
import { type CommonOptions, connectionOf } from '../common-options.ts';
import type { Connection } from '../connection.ts';
import { printLine } from '../output.ts';
import { paint, paintStatus } from '../terminal.ts';

export interface EventsOptions extends CommonOptions {
  scope?: string | undefined;
  after?: string | undefined;
  follow?: boolean | undefined;
}

export interface LogsOptions extends CommonOptions {
  scope?: string | undefined;
  step?: string | undefined;
  follow?: boolean | undefined;
}

/** Lists the events of an execution. */
export async function events(executionId: string, options: EventsOptions): Promise<void> {
  for await (const event of happened(connectionOf(options), executionId, options)) {
    if (options.output === 'json') printLine(JSON.stringify(event));
    else printLine(eventLine(event));
  }
}

/** Shows the log lines of the handlers of an execution. */
export async function logs(executionId: string, options: LogsOptions): Promise<void> {
  const connection = connectionOf(options);
  /** Lines that were shown, by step and attempt. */
  const shown = new Map<string, number>();
  for await (const { step_id: id, key, scope, outcome, to } of happened(connection, executionId, options)) {
    const mayHaveLines = outcome != null || to === 'waiting' || to === 'failed';
    if (id === null || !mayHaveLines || (options.step !== undefined && options.step !== key)) continue;
    const { attempts } = await connection.ask((client) => client.getStep(id));
    const name = scope ? `${scope}/${key}` : key!;
    for (const attempt of attempts) showLines(name, attempt, shown, id, options);
  }
}

function showLines(
  step: string,
  { attempt, logs: lines }: AttemptBody,
  shown: Map<string, number>,
  stepId: string,
  { output }: CommonOptions,
): void {
  const place = `${stepId} ${attempt}`;
  for (const line of lines.slice(shown.get(place) ?? 0)) {
    if (output === 'json') printLine(JSON.stringify({ step, attempt, ...line }));
    else {
      const { at, level, message, fields } = line;
      const more = Object.keys(fields).length === 0 ? '' : `  ${visibleText(JSON.stringify(fields))}`;
      const head = `${at}  ${level.padEnd(5)} ${visibleText(step)}`;
      printLine(`${head}  ${visibleText(message)}${paint(process.stdout, 'dim', more)}`);
    }
  }
  shown.set(place, lines.length);
}

/** The events of an execution so far; with `follow` those that come, until it is over. */
async function* happened(
  connection: Connection,
  executionId: string,
  {
    scope,
    after,
    follow,
  }: { scope?: string | undefined; after?: string | undefined; follow?: boolean | undefined },
): AsyncGenerator<EventBody, void> {
  // Looked at first: what is over then has all its events in the pages.
  const goesOn = follow === true && !(await isOver(connection, executionId));
  let last = after;
  let hasEnded = false;
  for (let isWhole = false; !isWhole; ) {
    const query = { execution_id: executionId, scope, after: last, limit: 500 };
    const page = await connection.ask((client) => client.eventLog(query));
    yield* page.data;
    last = page.data.at(-1)?.id ?? last;
    hasEnded = page.data.reduce((ended, event) => (event.key === null ? isEnd(event) : ended), hasEnded);
    isWhole = page.next_cursor === null;
  }
  if (!goesOn || hasEnded) return;
  for await (const event of connection.client.events(executionId, { scope, after: last })) {
    yield event;
    if (isEnd(event)) return;
  }
}

function isEnd({ type, to }: EventBody): boolean {
  return (type === 'execution' || type === 'scope') && isFinal(to as ExecutionStatus);
}

async function isOver(connection: Connection, executionId: string): Promise<boolean> {
  return isFinal((await connection.ask((client) => client.status(executionId))).status);
}

function eventLine({ at, type, key, scope, to, attempt, outcome, error_code }: EventBody): string {
  const name =
    key === null ? type : `${scope ? `${scope}/` : ''}${key}${type === 'compensation' ? ' (undone)' : ''}`;
  const notes = [
    attempt !== undefined && attempt > 1 ? `attempt ${attempt}` : '',
    outcome && outcome !== to ? outcome : '',
    error_code ?? '',
  ].filter((note) => note !== '');
  return `${at}  ${paintStatus(process.stdout, to)} ${visibleText([name, ...notes].join('  '))}`;
}
