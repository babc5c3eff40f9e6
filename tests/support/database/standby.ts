/**
 * A standby of a PostgreSQL of the harness: a copy of its data that follows it, and can be promoted.
 */
import { execFile } from 'node:child_process';
import { appendFile, chown, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { ChaosPostgres } from '../../../chaos/stage/postgres.ts';

const run = promisify(execFile);

/** @param folder of its own; the primary's is copied there */
export async function startStandby(primary: ChaosPostgres, folder: string): Promise<ChaosPostgres> {
  const name = primary.dataDir.slice(primary.dataDir.lastIndexOf('/') + 1);
  const cluster = join(folder, name);
  const client = new pg.Client({ connectionString: primary.url });
  await client.connect();
  try {
    await client.query("select pg_backup_start('standby', true)");
    // With its owner: PostgreSQL serves no data of somebody else.
    await run('cp', ['-a', join(primary.dataDir, '..'), folder]);
    const { rows } = await client.query('select labelfile from pg_backup_stop(false)');
    await rm(join(cluster, 'postmaster.pid'), { force: true });
    await write(cluster, 'backup_label', rows[0].labelfile);
    await write(cluster, 'standby.signal', '');
  } finally {
    await client.end();
  }
  const { hostname, port, username, password } = new URL(primary.url);
  const conninfo = `host=${hostname} port=${port} user=${username} password=${decodeURIComponent(password)}`;
  await appendFile(join(cluster, 'postgresql.auto.conf'), `primary_conninfo = '${conninfo}'\n`);
  return ChaosPostgres.start(folder, { fsync: 'off' });
}

async function write(cluster: string, name: string, text: string): Promise<void> {
  const path = join(cluster, name);
  await writeFile(path, text);
  const { uid, gid } = await stat(cluster);
  await chown(path, uid, gid);
}
