/**
 * Cursors of lists: opaque to callers, the last row's key inside.
 */
import { EngineError } from '../core/problem.ts';

export function encodeCursor(key: string): string {
  return Buffer.from(`1:${key}`).toString('base64url');
}

/** @throws EngineError('validation_failed') for anything that encodeCursor did not make */
export function decodeCursor(cursor: string): string {
  const text = Buffer.from(cursor, 'base64url').toString('utf8');
  const key = text.slice(2);
  if (!text.startsWith('1:') || encodeCursor(key) !== cursor) {
    const message = 'This is not a cursor of this list; leave it out to start from the beginning.';
    throw new EngineError('validation_failed', message, [
      { pointer: '/cursor', code: 'invalid_cursor', message },
    ]);
  }
  return key;
}
