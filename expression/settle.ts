/**
 * Gives a native result the shape a sandbox result has after its way through JSON, and bounds its size.
 *
 * undefined members are dropped, undefined items are null, -0 is 0. Numbers that are not finite stay, for the
 * caller to refuse by name. Parts that need no change are not copied, so a result may share them with the scope.
 *
 * Invariant 1: the work ends when the budget is spent, for values of any size (a value that names one large part many
 * times is larger than the memory it takes).
 */
import { parsedText } from '../core/json/parse-in-pieces.ts';
import { ExpressionError } from './expression-error.ts';
import { define } from './native.ts';

/** The maximum of characters of one evaluated value as JSON, counted roughly. */
export const RESULT_LIMIT = 16 * 1024 * 1024;
/** Characters that a joined text may have. */
export const TEXT_LIMIT = 1024 * 1024;
const DEPTH_LIMIT = 512;

export interface Budget {
  left: number;
}

/** The value as JSON would keep it; undefined stays undefined for the caller to drop. Throws output_not_storable. */
export function settle(value: unknown, budget: Budget, depth = 0): unknown {
  if (typeof value === 'number') {
    spend(budget, 8);
    return value === 0 ? 0 : value;
  }
  if (typeof value === 'string') {
    spend(budget, value.length + 2);
    return value;
  }
  spend(budget, 4);
  if (typeof value !== 'object' || value === null) return value;
  const text = parsedText(value);
  if (text !== undefined) {
    // It was JSON already, and is too large to be walked at once.
    spend(budget, text.length);
    return value;
  }
  if (depth >= DEPTH_LIMIT) {
    throw new ExpressionError(
      'output_not_storable',
      `the value is nested more than ${DEPTH_LIMIT} levels deep`,
    );
  }
  return Array.isArray(value)
    ? settleArray(value, budget, depth + 1)
    : settleObject(value, budget, depth + 1);
}

function spend(budget: Budget, characters: number): void {
  budget.left -= characters;
  if (budget.left < 0) {
    const message = 'the value is too large; pass a reference to the data instead of copies of it';
    throw new ExpressionError('output_not_storable', message);
  }
}

function settleArray(items: readonly unknown[], budget: Budget, depth: number): unknown {
  let changed: unknown[] | null = null;
  for (const [position, item] of items.entries()) {
    const settled = settle(item, budget, depth) ?? null;
    if (!Object.is(settled, item)) changed ??= items.slice();
    if (changed !== null) changed[position] = settled;
  }
  return changed ?? items;
}

function settleObject(value: object, budget: Budget, depth: number): unknown {
  const entries = Object.entries(value);
  const settled = entries.map(([key, member]) => {
    spend(budget, key.length + 4);
    return settle(member, budget, depth);
  });
  if (entries.every(([, member], position) => member !== undefined && Object.is(member, settled[position]))) {
    return value;
  }
  const copy = {};
  for (const [position, [key]] of entries.entries()) {
    if (settled[position] !== undefined) define(copy, key, settled[position]);
  }
  return copy;
}
