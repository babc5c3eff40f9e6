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

type Row = readonly (string | number | null)[];

/** Rows under a heading, in columns; empty when there are no rows. */
export function table(heading: readonly string[], rows: readonly Row[]): string {
  return columns(cellsOf(heading, rows));
}

/** The first column says what a row is about, and narrower ones are numbers and words. */
const MIN_CUT_WIDTH = 12;
const GAP = 2;

/** The same, with the widest columns cut so that a row fits into the line of a terminal. Elsewhere nothing is cut. */
export function fittingTable(
  { columns: width }: Pick<NodeJS.WriteStream, 'columns'>,
  heading: readonly string[],
  rows: readonly Row[],
): string {
  const cells = cellsOf(heading, rows);
  const widths = widthsOf(cells);
  const excess = () =>
    widths.reduce((sum, each) => sum + each + GAP, -GAP) - (width ?? Number.POSITIVE_INFINITY);
  while (excess() > 0) {
    const widest = widths.indexOf(Math.max(...widths.slice(1)), 1);
    if (widest < 1 || widths[widest]! <= MIN_CUT_WIDTH) break;
    widths[widest]! -= 1;
  }
  return columns(cells.map((row) => row.map((cell, column) => cut(cell, widths[column]!))));
}

function cut(text: string, width: number): string {
  return text.length > width ? `${text.slice(0, width - 1)}…` : text;
}

function cellsOf(heading: readonly string[], rows: readonly Row[]): string[][] {
  return [heading, ...rows].map((row) => row.map((cell) => visibleText(String(cell ?? '-'))));
}

function widthsOf(cells: readonly (readonly string[])[]): number[] {
  return cells[0]!.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
}

function columns(cells: readonly (readonly string[])[]): string {
  const widths = widthsOf(cells);
  return cells
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join(' '.repeat(GAP))
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
