/**
 * Text for people: colours, tables, durations.
 *
 * Invariant 1: colours appear only on a terminal that shows them, and never with NO_COLOR.
 * Invariant 2: foreign text (names, messages) shows invisible characters as escapes (core/text/visible.ts).
 */
import { styleText } from 'node:util';
import { visibleText } from '../core/text/visible.ts';

export type Tone = 'green' | 'red' | 'yellow' | 'dim' | 'bold';

const TONES: Readonly<Record<string, Tone>> = {
  completed: 'green',
  failed: 'red',
  timed_out: 'red',
  cancelled: 'yellow',
  skipped: 'dim',
  running: 'bold',
  retrying: 'yellow',
};

/** Colours text for a stream. */
export function paint(stream: NodeJS.WriteStream, tone: Tone, text: string): string {
  return stream.hasColors?.() === true ? styleText(tone, text, { validateStream: false }) : text;
}

/** A status in its colour. */
export function paintStatus(stream: NodeJS.WriteStream, status: string): string {
  const tone = TONES[status];
  return tone === undefined ? status : paint(stream, tone, status);
}

/** Rows under a heading, in columns; empty when there are no rows. */
export function table(
  heading: readonly string[],
  rows: readonly (readonly (string | number | null)[])[],
): string {
  const cells = [heading, ...rows].map((row) => row.map((cell) => visibleText(String(cell ?? '-'))));
  const widths = heading.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  return cells
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** `340ms`, `1.2s`, `3m 4s`, `2h 5m`. */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))}ms`;
  const seconds = ms / 1_000;
  if (seconds < 60) return `${seconds.toFixed(1)}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m ${Math.floor(seconds % 60)}s`;
  return `${Math.floor(minutes / 60)}h ${minutes % 60}m`;
}

/** The duration between two times of an answer; null when one of them is missing. */
export function formatSpan(from: string | null | undefined, to: string | null | undefined): string | null {
  return from && to ? formatDuration(Date.parse(to) - Date.parse(from)) : null;
}
