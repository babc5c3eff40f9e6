/** Explains missing rights of a database user. */
import pg from 'pg';
import { connectionConfig } from './session.ts';

const INSUFFICIENT_PRIVILEGE = '42501';

/** Returns an error that names the rights to grant when some are missing; any other error unchanged. */
export function explainRights(error: unknown, url: string): unknown {
  const { code, cause, message } = error as { code?: unknown; cause?: { code?: unknown }; message?: unknown };
  if (code !== INSUFFICIENT_PRIVILEGE && cause?.code !== INSUFFICIENT_PRIVILEGE) return error;
  const { user, database } = new pg.Client(connectionConfig(url, { applicationName: 'engine/check' }));
  const [role, name] = [user ?? 'the_user', database ?? 'the_database'].map(pg.escapeIdentifier);
  const text =
    `DATABASE_URL names a user who lacks rights: ${message}. An administrator of the database gives them with: ` +
    `grant create on database ${name} to ${role}; grant usage, create on schema public to ${role};`;
  return Object.assign(new Error(text, { cause: error }), { code: INSUFFICIENT_PRIVILEGE });
}
