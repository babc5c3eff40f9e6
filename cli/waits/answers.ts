/**
 * `signal`, `scopes`, `step`, `complete`, `fail` and `forms`: what waits, and the answers to it.
 *
 * An answer is sent once: of an answer that got lost `step` tells whether it counted.
 */

import { randomUUID } from 'node:crypto';
import { VOTES, type Vote } from '../../core/forms/decisions.ts';
import type { Json } from '../../core/json/json.ts';
import { isObject } from '../../core/json/json.ts';
import { SCOPE_STATUSES, type ScopeStatus } from '../../core/scopes/scope-status.ts';
import { visibleText } from '../../core/text/visible.ts';
import type { FormItem } from '../../services/forms/inbox-answers.ts';
import { type CommonOptions, connectionOf } from '../common-options.ts';
import { printForced } from '../control/dry-run.ts';
import { UsageError } from '../failure.ts';
import { parseInputs } from '../input.ts';
import { printJson, printLine, writeLine } from '../output.ts';
import { waitNote } from '../steps/wait-text.ts';
import { table } from '../terminal.ts';
import { createTextSource } from '../text-source.ts';

export interface SignalOptions extends CommonOptions {
  payload?: string | undefined;
  signalId?: string | undefined;
  scope?: string | undefined;
}

export interface PageOptions extends CommonOptions {
  limit?: number | undefined;
  cursor?: string | undefined;
}

export interface AnswerOptions extends CommonOptions {
  user?: string | undefined;
  /** The token with which a worker claimed the task. */
  claim?: string | undefined;
  /** Ends the step whatever it does. */
  force?: boolean | undefined;
  dryRun?: boolean | undefined;
}

export interface CompleteOptions extends AnswerOptions {
  value?: string | undefined;
  decision?: string | undefined;
  comment?: string | undefined;
}

export interface FailOptions extends AnswerOptions {
  code?: string | undefined;
  message?: string | undefined;
  retryable?: boolean | undefined;
}

/** Sends a signal. An id of its own makes it count once, however often the call is made. */
export async function signal(executionId: string, name: string, options: SignalOptions): Promise<void> {
  const { signalId = randomUUID(), scope } = options;
  const payload = await givenValue(options.payload);
  const body = { execution_id: executionId, signal: name, payload, signal_id: signalId, scope };
  const sent = await connectionOf(options).ask((client) => client.signal(body));
  const isKnown = sent.duplicate && options.signalId !== undefined;
  if (options.output === 'json') printJson({ ...sent, duplicate: isKnown });
  else printLine(visibleText(isKnown ? `signal ${signalId} was sent before` : sentLine(name, sent.kept)));
}

function sentLine(name: string, isKept: boolean): string {
  return isKept
    ? `signal ${name} sent; no step waits for it yet, and it is kept for the first that does`
    : `signal ${name} sent`;
}

/** Lists the scopes of a step. */
export async function scopes(
  executionId: string,
  step: string,
  { status, limit, cursor, ...options }: PageOptions & { status?: string | undefined },
): Promise<void> {
  if (status !== undefined && !SCOPE_STATUSES.includes(status as ScopeStatus))
    throw new UsageError(`--status ${visibleText(status)} is not one of ${SCOPE_STATUSES.join(', ')}`);
  const query = { execution_id: executionId, step, status: status as ScopeStatus | undefined, limit, cursor };
  const page = await connectionOf(options).ask((client) => client.listScopes(query));
  if (options.output === 'json') return printJson(page);
  const hasChildren = page.data.some(({ execution_id }) => execution_id !== undefined);
  const rows = page.data.map(
    ({ scope, status: at, execution_id, waits, started_at, completed_at, error }) => [
      scope,
      at,
      ...(hasChildren ? [execution_id ?? null] : []),
      started_at,
      completed_at,
      waits ? `${waits.step} ${waitNote(waits)}`.trimEnd() : null,
      error ? `${error.step ? `${error.step}: ` : ''}${error.code} ${error.message}` : null,
    ],
  );
  const child = hasChildren ? ['EXECUTION'] : [];
  printLine(table(['SCOPE', 'STATUS', ...child, 'STARTED', 'ENDED', 'WAITS', 'ERROR'], rows));
  tellMore(page.next_cursor);
}

/** Shows a step: what it waits for, its attempts, its outputs. */
export async function step(stepId: string, options: CommonOptions): Promise<void> {
  const found = await connectionOf(options).ask((client) => client.getStep(stepId));
  if (options.output === 'json') return printJson(found);
  const { id, key, type, status, execution_id, scope, error, attempts, outputs } = found;
  const lines = [
    ['step', `${id} ${status}`],
    ['key', `${scope === '' ? '' : `${scope}/`}${key} (${type})`],
    ['execution', execution_id],
    ['waits', waitNote(found)],
    ['error', error ? `${error.code}: ${error.message}` : ''],
  ];
  for (const [name, text] of lines) if (text !== '') printLine(`${name!.padEnd(9)} ${visibleText(text!)}`);
  const rows = (attempts ?? []).map((one) => [
    one.attempt,
    one.outcome,
    one.ended_at,
    one.turns.length,
    one.error ? `${one.error.code}: ${one.error.message}` : null,
  ]);
  if (rows.length > 0) printLine(`\n${table(['ATTEMPT', 'OUTCOME', 'ENDED', 'TURNS', 'ERROR'], rows)}`);
  if (outputs !== null) printJson(outputs);
}

/** Completes a step that waits for an answer, or a task with the token of its claim. */
export async function complete(stepId: string, options: CompleteOptions): Promise<void> {
  const { claim, user, comment } = options;
  const output = await givenValue(options.value);
  const { client } = connectionOf(options);
  if (claim !== undefined) return printForced(await client.completeTask(stepId, claim, output), options);
  const decision = decisionOf(options);
  const body = { output, user_id: user, decision, comment, ...forceOf(options) };
  printForced(await client.forceStep(stepId, 'complete', body), options);
}

/** Fails such a step; a form is rejected. */
export async function fail(stepId: string, options: FailOptions): Promise<void> {
  const { claim, user, code, message = '', retryable } = options;
  const { client } = connectionOf(options);
  const error = code === undefined ? undefined : { code, message };
  if (claim === undefined) {
    const body = { error, retryable, user_id: user, ...forceOf(options) };
    return printForced(await client.forceStep(stepId, 'fail', body), options);
  }
  if (error === undefined) throw new UsageError('a task fails with a --code');
  printForced(await client.failTask(stepId, claim, { error, retryable }), options);
}

/** Lists the forms that wait for people. */
export async function forms({
  assignee,
  limit,
  cursor,
  ...options
}: PageOptions & { assignee?: string | undefined }): Promise<void> {
  const page = await connectionOf(options).ask((client) => client.listForms({ assignee, limit, cursor }));
  if (options.output === 'json') return printJson(page);
  const rows = page.data.map((form) => [
    form.step_id,
    form.template,
    form.scope === '' ? form.key : `${form.scope}/${form.key}`,
    form.execution_id,
    form.title,
    form.assignees.join(',') || null,
    form.decisions.map(decisionCell).join(', ') || null,
    form.created_at,
    form.due_at,
  ]);
  const heading = ['STEP', 'TEMPLATE', 'KEY', 'EXECUTION', 'TITLE', 'ASSIGNEES', 'DECISIONS', 'SINCE', 'DUE'];
  printLine(table(heading, rows));
  tellMore(page.next_cursor);
}

function decisionCell({ user_id, decision }: FormItem['decisions'][number]): string {
  return user_id === null ? decision : `${decision} by ${user_id}`;
}

/** Returns a value as `--input` takes one; undefined: none was given. */
async function givenValue(text: string | undefined): Promise<Json | undefined> {
  if (text === undefined) return undefined;
  const parsed = await parseInputs([`value=${text}`], createTextSource());
  return isObject(parsed!) ? parsed.value : undefined;
}

function decisionOf({ decision }: CompleteOptions): Vote | undefined {
  if (decision === undefined || VOTES.includes(decision as Vote)) return decision as Vote | undefined;
  throw new UsageError(`--decision ${visibleText(decision)} is not one of ${VOTES.join(', ')}`);
}

function forceOf({ force, dryRun }: AnswerOptions) {
  return { force, dry_run: dryRun };
}

function tellMore(cursor: string | null): void {
  if (cursor !== null) writeLine(visibleText(`more with --cursor ${cursor}`));
}
