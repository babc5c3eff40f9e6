/**
 * A connection through a pooler that lends out sessions of the server for one transaction at a time.
 *
 * State that others keep in a session does not last there, so it is set again in each transaction or left out:
 * - Statements are planned each time: a name would refer to a statement of a session that was since lent to others.
 *   (PgBouncer passes prepared statements on since 1.21, and only when configured to.)
 * - The engine's settings are made with `begin`, in the same message, until the end of that transaction. A longer
 * `set`
 *   would change the sessions of all users of the pooler.
 *
 * Single statements outside a transaction run with the settings of the role, and are bounded by the client's timeout.
 */
import pg from 'pg';
import { type SessionOptions, sessionSettings } from './session.ts';

/** Settings of the connection between the pooler and the server, or of later transactions. */
const NOT_OF_TRANSACTIONS = /^(tcp_|client_connection_check|default_)/;

/** Returns one message with two statements. */
export function beginWithSettings(options: SessionOptions): string {
  const isolation = options.portable ? '' : ' isolation level read committed';
  return `begin${isolation}; ${settingsOfTransaction(options)}`;
}

/** Returns a statement that makes the settings until the end of the transaction, except those unknown to the server. */
export function settingsOfTransaction(options: SessionOptions): string {
  const settings = Object.entries(sessionSettings(options)).filter(
    ([name]) => !NOT_OF_TRANSACTIONS.test(name),
  );
  const values = settings.map(([name, value]) => `('${name}', '${value}')`).join(', ');
  return (
    `select set_config(name, value, true) from (values ${values}) as wanted(name, value) ` +
    'where current_setting(name, true) is not null'
  );
}

/** Returns the class of such connections, for node-pg's pool or for standalone ones. */
export function lentClient(options: SessionOptions): typeof pg.Client {
  const begin = beginWithSettings(options);
  return class LentClient extends pg.Client {
    // biome-ignore lint/suspicious/noExplicitAny: every overload of node-pg's query
    override query(query: any, ...rest: any[]): any {
      const asked = query === 'begin' ? begin : withoutName(query);
      return (super.query as (...all: unknown[]) => unknown).call(this, asked, ...rest);
    }
  };
}

function withoutName(query: unknown): unknown {
  if (typeof query !== 'object' || query === null || !('name' in query) || !('text' in query)) return query;
  const { name: _name, ...unnamed } = query;
  return unnamed;
}
