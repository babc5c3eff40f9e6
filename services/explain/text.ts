/**
 * The parts of sentences about steps. Pure.
 */
import { cutText } from '../../core/text/cut.ts';

/** The step that a text is about. */
export interface Named {
  readonly executionId: string;
  /** Null: it has no row. */
  readonly stepId: string | null;
  readonly key: string;
  readonly path: string;
  /** Path of its scope; empty: the top level. */
  readonly scope: string;
  /** When it came into its present status; null: it has no row. */
  readonly sinceMs: number | null;
  /** When the attempt's timeout ends its wait; null: it has none. */
  readonly deadlineAt: number | null;
  /** Of a webhook step; null: the caller does not see it. */
  url(): string | null;
  /** Keys of steps of the same scope, by slot. */
  keyOf(slot: number): string;
}

export function quoted(text: unknown): string {
  return JSON.stringify(text);
}

export function instant(ms: number): string {
  return new Date(ms).toISOString();
}

export function since(ms: number | null): string {
  return ms === null ? '' : ` since ${instant(ms)}`;
}

/** Returns `a, b and c`. */
export function listed(items: readonly string[]): string {
  return items.length < 2 ? items.join() : `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`;
}

export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

/** Returns a duration as definitions write it. */
export function spanText(ms: number): string {
  const [name, unit] = UNITS.find(([, size]) => ms % size === 0)!;
  return `${ms / unit}${name}`;
}

/** Returns a duration for people, rounded up. */
export function roughSpan(ms: number): string {
  const seconds = Math.ceil(ms / 1_000);
  if (seconds < 120) return count(seconds, 'second');
  const minutes = Math.ceil(seconds / 60);
  return minutes < 120 ? count(minutes, 'minute') : count(Math.ceil(minutes / 60), 'hour');
}

const UNITS: readonly (readonly [string, number])[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
  ['ms', 1],
];

const MAX_MESSAGE = 300;

/** Returns an error for the middle of a sentence. */
export function errorText({ code, message }: { readonly code: string; readonly message: string }): string {
  return `${code}: ${cutText(message, MAX_MESSAGE).replace(/[.!?]$/, '')}`;
}
