/**
 * The progress of one execution on stderr: on a terminal finished steps scroll by above a bar that is redrawn,
 * elsewhere one line per transition.
 *
 * Not here: asking the engine (follow.ts).
 *
 * A step is queued for a moment before each attempt: it is shown as queued only when it stays so, because a limit holds
 * it or no engine has room.
 *
 * Invariant 1: the live area is never higher than the terminal, for graphs of any size.
 */

import { isFinalStep } from '../core/status.ts';
import { visibleText } from '../core/text/visible.ts';
import type { ExecutionStatusBody, StepStatusBody } from '../services/execution-answers.ts';
import { shownLine } from './output.ts';
import { withCompensations } from './steps/compensations.ts';
import { waitNote, waitText } from './steps/wait-text.ts';
import { formatSpan, paint, paintStatus } from './terminal.ts';

const BAR_WIDTH = 24;
const MAX_LIVE_STEPS = 8;
const QUEUED_AFTER_MS = 3_000;
/** Steps that one line about queued steps names. */
const MAX_NAMES = 5;

export interface Progress {
  /** Shows the changes since the last call. */
  show(execution: ExecutionStatusBody): void;
  /** Removes the live area. */
  close(): void;
}

/** Shows progress on a stream, live when it is a terminal. @param now a clock in milliseconds */
export function createProgress(
  stream: NodeJS.WriteStream,
  now: () => number = () => performance.now(),
): Progress {
  const live = stream.isTTY === true;
  const seen = new Map<string, string>();
  const queue = createQueueWatch(now);
  let isDelayTold = false;
  let height = 0;
  const draw = (lines: readonly string[], area: readonly string[]) => {
    const erase = height > 0 ? `\u001b[${height}A\u001b[J` : '';
    height = area.length;
    const text = [...lines, ...area].map((line) => `${shownLine(line)}\n`).join('');
    if (erase + text !== '') stream.write(erase + text);
  };
  return {
    show(execution) {
      const steps = withCompensations(execution.steps);
      const changed = steps.filter((step) => isNews(step, seen.get(step.id), live));
      for (const step of steps) seen.set(step.id, turnOf(step));
      const { held, news } = queue(steps);
      const lines = changed.map((step) => stepLine(stream, step));
      if (execution.resume_at && !isDelayTold)
        lines.unshift(visibleText(`pending  until ${execution.resume_at}`));
      isDelayTold = true;
      if (!live) for (const alike of Map.groupBy(news, waitText)) lines.push(queuedLine(...alike));
      draw(lines, live ? liveArea(stream, execution, held) : []);
    },
    close: () => draw([], []),
  };
}

function isNews(step: StepStatusBody, before: string | undefined, live: boolean): boolean {
  if (turnOf(step) === before || step.status === 'waiting_inputs') return false;
  return live ? isFinalStep(step.status) : step.status !== 'queued';
}

/** A step that is tried again passes through the same statuses. */
function turnOf({ status, attempt_count }: StepStatusBody): string {
  return `${status} ${attempt_count}`;
}

/** Returns the steps that have been queued for a while, and those of them that were not told before. */
function createQueueWatch(now: () => number) {
  const since = new Map<string, number>();
  const told = new Set<string>();
  return (steps: readonly StepStatusBody[]) => {
    for (const { id, status } of steps) {
      if (status === 'queued') {
        if (!since.has(id)) since.set(id, now());
      } else if (since.delete(id)) told.delete(id);
    }
    const held = steps.filter(
      ({ id }) => now() - (since.get(id) ?? Number.POSITIVE_INFINITY) >= QUEUED_AFTER_MS,
    );
    const news = held.filter(({ id }) => !told.has(id));
    for (const { id } of news) told.add(id);
    return { held, news };
  };
}

function queuedLine(wait: string | null, steps: readonly StepStatusBody[]): string {
  const names = steps.slice(0, MAX_NAMES).map((step) => visibleText(nameOf(step)));
  const more = steps.length > MAX_NAMES ? ` and ${steps.length - MAX_NAMES} more` : '';
  const reason = wait === null ? 'held by a limit, or no engine has room' : `waits for ${visibleText(wait)}`;
  return `queued ${names.join(', ')}${more}  for ${QUEUED_AFTER_MS / 1_000} s: ${reason}`;
}

function stepLine(stream: NodeJS.WriteStream, step: StepStatusBody): string {
  const took = isFinalStep(step.status) ? formatSpan(step.started_at, step.completed_at) : null;
  const notes = [
    took === null ? '' : paint(stream, 'dim', took),
    step.attempt_count > 1 ? paint(stream, 'yellow', `${step.attempt_count} attempts`) : '',
    visibleText(waitNote(step)),
    step.error ? visibleText(`${step.error.code}: ${step.error.message}`) : '',
  ].filter((note) => note !== '');
  return [`${paintStatus(stream, step.status)} ${visibleText(nameOf(step))}`, ...notes].join('  ');
}

function nameOf({ scope, key }: StepStatusBody): string {
  return scope === '' ? key : `${scope}/${key}`;
}

function liveArea(
  stream: NodeJS.WriteStream,
  execution: ExecutionStatusBody,
  held: readonly StepStatusBody[],
): string[] {
  // A terminal of unknown size reports 0.
  const width = stream.columns || 80;
  const room = Math.max(0, Math.min(MAX_LIVE_STEPS, (stream.rows || 24) - 3));
  const active = withCompensations(execution.steps).filter(
    ({ status }) => status === 'running' || status === 'waiting' || status === 'retrying',
  );
  const lines = [...active, ...held].slice(0, room).map((step) => liveLine(step).slice(0, width - 1));
  return [...lines, barLine(execution, width)];
}

function liveLine(step: StepStatusBody): string {
  const wait = visibleText(waitNote(step));
  return `  ${step.status} ${visibleText(nameOf(step))}${wait === '' ? '' : `  ${wait}`}`;
}

/** `[######----] 3/6 steps, 1 running, 2 failed`. */
function barLine({ status, progress }: ExecutionStatusBody, width: number): string {
  const ended = progress.completed + progress.failed + progress.skipped + progress.cancelled;
  const filled = progress.total === 0 ? 0 : Math.floor((ended / progress.total) * BAR_WIDTH);
  const bar = `[${'#'.repeat(filled)}${'-'.repeat(BAR_WIDTH - filled)}]`;
  const parts = [`${ended}/${progress.total} steps`, `${progress.running} running`];
  if (progress.queued > 0) parts.push(`${progress.queued} queued`);
  if (progress.failed > 0) parts.push(`${progress.failed} failed`);
  if (status !== 'running') parts.push(status);
  return `${bar} ${parts.join(', ')}`.slice(0, width - 1);
}
