/**
 * A connection through a pooler that lends out sessions of the server for one transaction at a time.
 *
 * What others rely on does not last there, so it is done again in each transaction or left out:
 * - Statements are planned each time: a name would mean a statement of a session that somebody else has by now.
 *   (PgBouncer passes prepared statements on since 1.21, and only when it is told to.)
 * - The engine's settings are made with `begin`, in the same message, until the end of that transaction. A `set` that
 *   outlived it would change the sessions of everybody behind the pooler.
 *
 * Single statements outside a transaction go with the settings of the role, and are bounded by this side's timeout.
 */
import pg from 'pg';
import { type SessionOptions, sessionSettings } from './session.ts';

/** Of the connection between the pooler and the server, or of what comes after this transaction. */
const NOT_OF_TRANSACTIONS = /^(tcp_|client_connection_check|default_)/;

/** A message of two statements. */
export function beginWithSettings(options: SessionOptions): string {
  const isolation = options.portable ? '' : ' isolation level read committed';
  return `begin${isolation}; ${settingsOfTransaction(options)}`;
}

/** A statement that makes the settings until the end of the transaction, but for those that the server does not know. */
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

/** The class of such connections, for node-pg's pool or for one of their own. */
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
