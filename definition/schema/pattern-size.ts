/**
 * The size of a pattern when it is compiled, estimated from its text alone.
 *
 * A counted repeat copies its content: `(x|y){0,1000}` is 14 characters and thousands of instructions. The size is an
 * upper bound of the instructions. An invalid pattern has a size too; its compiler reports the error.
 *
 * Invariant 1: linear in the text, without recursion and without compiling.
 */

/** Larger counts are refused by the compiler, which has the better message. */
const MAX_REPEAT = 1_000;
const COUNTED = /\{(\d+)(,(\d*))?\}/y;
const ESCAPED = /\\(?:u\{[^}]*\}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|[pP]\{[^}]*\}|[pPk]?[\s\S]?)/y;
/** A bracket may stand first in a class, and classes have names: `[^]a]`, `[[:alpha:]]`. */
const CLASS = /\[\^?\]?(?:\[:\^?\w*:\]|\\[\s\S]|[^\]\\])*\]?/y;
const GROUP = /\((?:\?(?::|P?<[^>]*>|[a-zA-Z-]*:?))?/y;

interface Level {
  /** The size of everything before the last atom. */
  before: number;
  /** The last atom with its repeats. */
  atom: number;
}

/** Instructions of the compiled pattern, at most. */
export function patternSize(pattern: string): number {
  const open: Level[] = [];
  let level: Level = { before: 0, atom: 0 };
  const take = (size: number) => {
    level = { before: level.before + level.atom, atom: size };
  };
  for (let at = 0; at < pattern.length; ) {
    const character = pattern[at]!;
    const length = lengthAt(pattern, at);
    const repeat = character === '{' ? repeatAt(pattern, at) : null;
    if (repeat !== null) level.atom = level.atom * repeat.copies + repeat.choices;
    else if (character === '(') {
      take(0);
      open.push(level);
      level = { before: 3, atom: 0 };
    } else if (character === ')') {
      const size = level.before + level.atom;
      level = open.pop() ?? { before: 0, atom: 0 };
      level.atom += size;
    } else if (character === '*' || character === '+' || character === '?') level.atom += 1;
    else take(character === '|' ? 3 : 1);
    at += length;
  }
  return open.reduce((size, { before, atom }) => size + before + atom, level.before + level.atom);
}

function lengthAt(pattern: string, at: number): number {
  const part = { '\\': ESCAPED, '[': CLASS, '(': GROUP, '{': COUNTED }[pattern[at]!];
  if (part === undefined) return 1;
  part.lastIndex = at;
  return part.exec(pattern)?.[0].length ?? 1;
}

/** Copies of the repeated part, and the choices between them; null: no repeat, or one that the compiler refuses. */
function repeatAt(pattern: string, at: number): { copies: number; choices: number } | null {
  COUNTED.lastIndex = at;
  const [, least, range, most] = COUNTED.exec(pattern) ?? [];
  if (least === undefined) return null;
  const min = Number(least);
  const max = range === undefined ? min : most === '' ? min + 1 : Number(most);
  if (min > MAX_REPEAT || max > MAX_REPEAT || max < min) return null;
  return { copies: Math.max(1, max), choices: max - min + 1 };
}
