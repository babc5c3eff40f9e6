/**
 * Databases of earlier versions of the schema: the migrations up to one of them.
 */
import { copyFile, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { migrate } from '../../../db/migrate/migrate.ts';

const MIGRATIONS = join(import.meta.dir, '..', '..', '..', 'db', 'migrations');

/** File names, in order. */
export async function migrationNames(): Promise<string[]> {
  return (await readdir(MIGRATIONS)).filter((name) => name.endsWith('.sql')).sort();
}

/** Applies the first `count` migrations that are not applied yet. */
export async function migrateUpTo(url: string, count: number): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'migrations-'));
  try {
    for (const name of (await migrationNames()).slice(0, count))
      await copyFile(join(MIGRATIONS, name), join(dir, name));
    await migrate(url, { dir, pgbossSchema: 'pgboss' });
  } finally {
    await rm(dir, { recursive: true });
  }
}
