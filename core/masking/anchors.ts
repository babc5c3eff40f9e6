/**
 * Anchors: parts of spellings that the usual escaping leaves unchanged (letters and digits), so they appear unchanged in
 * every escaped form. A text without any of them needs no decoding.
 */
import { BLOCK } from './text-finder.ts';

const UNCHANGED = /[A-Za-z0-9]+/g;

/** Returns the longest part that escaping leaves unchanged; null: none is long enough to search for. */
export function anchorOf(text: string): string | null {
  const runs = text.match(UNCHANGED) ?? [];
  const longest = runs.reduce((best, run) => (run.length > best.length ? run : best), '');
  return longest.length < BLOCK ? null : longest;
}
