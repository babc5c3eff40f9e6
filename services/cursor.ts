/**
 * Cursors of lists: opaque to callers, they hold the list's name and the last row's key.
 *
 * Invariant 1: a cursor of one list is refused by every other, even when its key would fit.
 * Invariant 2: only keys of the list's own form reach the database.
 */

import { EngineError } from '../core/problem.ts';
import { TEMPLATE_NAME } from '../definition/definition.ts';

/** The form of the keys of a list's rows. */
const KEYS = {
  /** Order, phase of a search, and the row: of the next phase there is none yet. */
  executions:
    /^(created|duration|id):(exact|part|any):(:|-?\d{1,18}:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$/,
  forms: /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/,
  templates: TEMPLATE_NAME,
  scopes: /^\d{1,9}$/,
  workers: /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/,
  explain: /^\d{1,9}$/,
  incidents: /^[0-9a-f]{32}$/,
};
export type ListName = keyof typeof KEYS;

export function encodeCursor(list: ListName, key: string): string {
  return Buffer.from(`${list}:${key}`).toString('base64url');
}

/** @throws EngineError('validation_failed') for text that is not a cursor of this list */
export function decodeCursor(list: ListName, cursor: string): string {
  const text = Buffer.from(cursor, 'base64url').toString('utf8');
  const key = text.slice(list.length + 1);
  if (KEYS[list].test(key) && encodeCursor(list, key) === cursor) return key;
  const message = 'This is not a cursor of this list; leave it out to start from the beginning.';
  throw new EngineError('validation_failed', message, [
    { pointer: '/cursor', code: 'invalid_cursor', message },
  ]);
}
