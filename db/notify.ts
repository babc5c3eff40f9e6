/**
 * The notification that a commit sends to the other engines; its content is in door/news.ts.
 */
import type { Statement } from './statement.ts';

export function notify(payload: string): Statement {
  return { name: 'notify', text: `select pg_notify('execution_engine', $1)`, values: [payload] };
}
