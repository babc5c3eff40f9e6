/** Explains missing rights of a database user. */
import pg from 'pg';
import { connectionConfig } from './session.ts';

const INSUFFICIENT_PRIVILEGE = '42501';
/** PostgreSQL's words for an object that belongs to somebody else. */
const OF_ANOTHER =
  /^(?:permission denied for|must be owner of) (table|sequence|function|type|view|index|relation) (\S+)$/;
const OF_A_SCHEMA = /^permission denied for schema (\S+)$/;

/** The owner of an object by its name, and by any name in a schema. */
const OWNER = `
  select pg_get_userbyid(o.owner) as owner
    from (select relname as name, relowner as owner from pg_class
          union all select proname, proowner from pg_proc
          union all select typname, typowner from pg_type) o
   where o.name = $1 and o.owner <> current_user::regrole::oid
   limit 1`;
const SCHEMA_OWNER = 'select pg_get_userbyid(nspowner) as owner from pg_namespace where nspname = $1';

/** Returns an error that names the rights to grant when some are missing; any other error unchanged. */
export async function explainRights(error: unknown, url: string): Promise<unknown> {
  const { code, cause, message } = error as { code?: unknown; cause?: unknown; message?: unknown };
  const denied = code === INSUFFICIENT_PRIVILEGE ? error : cause;
  if ((denied as { code?: unknown } | undefined)?.code !== INSUFFICIENT_PRIVILEGE) return error;
  const advice = await adviceFor(String((denied as Error).message), url);
  const text = `DATABASE_URL names a user who lacks rights: ${message}. ${advice}`;
  return Object.assign(new Error(text, { cause: error }), { code: INSUFFICIENT_PRIVILEGE });
}

async function adviceFor(message: string, url: string): Promise<string> {
  const client = new pg.Client(connectionConfig(url, { applicationName: 'engine/check' }));
  const { user = 'the_user', database = 'the_database' } = client;
  const role = pg.escapeIdentifier(user);
  const name = pg.escapeIdentifier(database);
  const [, kind, object] = OF_ANOTHER.exec(message) ?? [];
  if (object !== undefined)
    return ownership(`The ${kind} "${object}"`, await ownerOf(client, OWNER, object), role, name);
  const [, schema] = OF_A_SCHEMA.exec(message) ?? [];
  if (schema !== undefined && schema !== 'public')
    return ownership(`The schema "${schema}"`, await ownerOf(client, SCHEMA_OWNER, schema), role, name);
  return (
    'An administrator of the database gives them with: ' +
    `grant create on database ${name} to ${role}; grant usage, create on schema public to ${role};`
  );
}

function ownership(what: string, owner: string | null, role: string, database: string): string {
  const belongs = owner === null ? 'another role' : `the role ${pg.escapeIdentifier(owner)}`;
  const from = pg.escapeIdentifier(owner ?? 'its_owner');
  return (
    `${what} belongs to ${belongs}, and the engine must have the rights of its owner, since it brings its tables up ` +
    `to date; grants on the database and its schemas do not suffice. An administrator, connected to the database ` +
    `${database}, gives them for everything that the role owns, also later, with: grant ${from} to ${role}; or makes ` +
    `the engine the owner of all that the role owns in this database, with: reassign owned by ${from} to ${role};`
  );
}

/** Returns null when it cannot be found out. */
async function ownerOf(client: pg.Client, query: string, name: string): Promise<string | null> {
  client.on('error', () => {});
  try {
    await client.connect();
    const { rows } = await client.query(query, [name]);
    return rows[0]?.owner ?? null;
  } catch {
    return null;
  } finally {
    await client.end().catch(() => {});
  }
}
