/**
 * Cursors of lists: opaque to callers, the list's name and the last row's key inside.
 *
 * Invariant 1: a cursor of one list is refused by every other, also where its key could be one of theirs.
 * Invariant 2: a key that no row of the list could have never reaches the database.
 */

import { EngineError } from '../core/problem.ts';
import { TEMPLATE_NAME } from '../definition/definition.ts';

/** What the key of a list's rows looks like. */
const KEYS = {
  executions: /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/,
  templates: TEMPLATE_NAME,
};
export type ListName = keyof typeof KEYS;

export function encodeCursor(list: ListName, key: string): string {
  return Buffer.from(`${list}:${key}`).toString('base64url');
}

/** @throws EngineError('validation_failed') for anything that encodeCursor did not make for this list */
export function decodeCursor(list: ListName, cursor: string): string {
  const text = Buffer.from(cursor, 'base64url').toString('utf8');
  const key = text.slice(list.length + 1);
  if (KEYS[list].test(key) && encodeCursor(list, key) === cursor) return key;
  const message = 'This is not a cursor of this list; leave it out to start from the beginning.';
  throw new EngineError('validation_failed', message, [
    { pointer: '/cursor', code: 'invalid_cursor', message },
  ]);
}
