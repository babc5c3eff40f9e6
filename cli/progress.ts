/**
 * The progress of one execution on stderr: on a terminal finished steps scroll by above a bar that is redrawn,
 * elsewhere one line per transition.
 *
 * Not here: asking the engine (run.ts).
 *
 * Invariant 1: the live area is never higher than the terminal, for graphs of any size.
 */

import { isFinalStep } from '../core/status.ts';
import { visibleText } from '../core/text/visible.ts';
import type { ExecutionStatusBody, StepStatusBody } from '../services/execution-answers.ts';
import { shownLine } from './output.ts';
import { formatDuration, paint, paintStatus } from './terminal.ts';

const BAR_WIDTH = 24;
const MAX_LIVE_STEPS = 8;

export interface Progress {
  /** Shows the changes since the last call. */
  show(execution: ExecutionStatusBody): void;
  /** A line between the others. */
  note(text: string): void;
  /** Removes the live area. */
  close(): void;
}

/** Shows progress on a stream, live when it is a terminal. */
export function createProgress(stream: NodeJS.WriteStream): Progress {
  const live = stream.isTTY === true;
  const seen = new Map<string, string>();
  let height = 0;
  const draw = (lines: readonly string[], area: readonly string[]) => {
    const erase = height > 0 ? `\u001b[${height}A\u001b[J` : '';
    height = area.length;
    const text = [...lines, ...area].map((line) => `${shownLine(line)}\n`).join('');
    if (erase + text !== '') stream.write(erase + text);
  };
  return {
    show(execution) {
      const changed = execution.steps.filter((step) => isNews(step, seen.get(step.id), live));
      for (const step of execution.steps) seen.set(step.id, step.status);
      draw(
        changed.map((step) => stepLine(stream, step)),
        live ? liveArea(stream, execution) : [],
      );
    },
    note: (text) => draw([text], []),
    close: () => draw([], []),
  };
}

function isNews(step: StepStatusBody, before: string | undefined, live: boolean): boolean {
  if (step.status === before || step.status === 'waiting_inputs') return false;
  return live ? isFinalStep(step.status) : step.status !== 'queued';
}

function stepLine(stream: NodeJS.WriteStream, step: StepStatusBody): string {
  const name = step.scope === '' ? step.key : `${step.scope}/${step.key}`;
  const took =
    step.started_at === null || step.completed_at === null
      ? null
      : spanOf(step.started_at, step.completed_at);
  const notes = [
    took === null ? '' : paint(stream, 'dim', formatDuration(took)),
    step.attempt_count > 1 ? paint(stream, 'yellow', `${step.attempt_count} attempts`) : '',
    step.error === null ? '' : visibleText(`${step.error.code}: ${step.error.message}`),
  ].filter((note) => note !== '');
  return [`${paintStatus(stream, step.status)} ${visibleText(name)}`, ...notes].join('  ');
}

function liveArea(stream: NodeJS.WriteStream, execution: ExecutionStatusBody): string[] {
  // A terminal of unknown size reports 0.
  const width = stream.columns || 80;
  const room = Math.max(0, Math.min(MAX_LIVE_STEPS, (stream.rows || 24) - 3));
  const active = execution.steps.filter(
    ({ status }) => status === 'running' || status === 'waiting' || status === 'retrying',
  );
  const lines = active
    .slice(0, room)
    .map((step) => `  ${step.status} ${visibleText(step.key)}`.slice(0, width - 1));
  return [...lines, barLine(execution, width)];
}

/** `[######----] 3/6 steps, 1 running, 2 failed`. */
function barLine({ status, progress }: ExecutionStatusBody, width: number): string {
  const ended = progress.completed + progress.failed + progress.skipped + progress.cancelled;
  const filled = progress.total === 0 ? 0 : Math.floor((ended / progress.total) * BAR_WIDTH);
  const bar = `[${'#'.repeat(filled)}${'-'.repeat(BAR_WIDTH - filled)}]`;
  const parts = [`${ended}/${progress.total} steps`, `${progress.running} running`];
  if (progress.failed > 0) parts.push(`${progress.failed} failed`);
  if (status !== 'running') parts.push(status);
  return `${bar} ${parts.join(', ')}`.slice(0, width - 1);
}

function spanOf(from: string, to: string): number {
  return Date.parse(to) - Date.parse(from);
}
