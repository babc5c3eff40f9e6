/**
 * The key of the URLs of webhook steps.
 */
import type { Db } from '../connection/client.ts';

/** Returns the key that the migration made. */
export async function readHookKey(db: Db): Promise<string> {
  const { rows } = await db.query({
    name: 'read_hook_key',
    text: 'select key from workflow_hook_key where id = 1',
    values: [],
  });
  return rows[0].key;
}
