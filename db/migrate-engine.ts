/**
 * Brings a database to what this version of the engine needs: migrations, then its SQL functions.
 *
 * The functions hold settings of this engine (pg-boss's schema, the largest input) and are therefore written
 * at every start where they differ from what is there, under the lock of the migrations.
 */
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { type MigrateResult, migrate } from './migrate.ts';
import { connectionConfig } from './session.ts';

const HERE = dirname(fileURLToPath(import.meta.url));
const MIGRATIONS = join(HERE, 'migrations');
/** The same number as the migrations' lock: one engine at a time changes the schema. */
const LOCK = '297528313602';

export interface MigrateEngineOptions {
  readonly pgbossSchema: string;
  readonly maxInputBytes: number;
  readonly dryRun?: boolean;
}

export async function migrateEngine(database: string, options: MigrateEngineOptions): Promise<MigrateResult> {
  const { pgbossSchema, dryRun = false } = options;
  const result = await migrate(database, { dir: MIGRATIONS, pgbossSchema, dryRun });
  const sql = await workflowStartSql(options);
  const client = new pg.Client(connectionConfig(database, { applicationName: 'engine/migrate' }));
  client.on('error', () => {});
  try {
    await client.connect();
    if (await isCurrent(client, sql)) return result;
    if (dryRun)
      return { ...result, pending: [...result.pending, { name: 'workflow_start.sql', sql, checksum: '' }] };
    await writeFunction(client, sql);
    return result;
  } finally {
    await client.end().catch(() => {});
  }
}

async function workflowStartSql({ pgbossSchema, maxInputBytes }: MigrateEngineOptions): Promise<string> {
  const text = await readFile(join(HERE, 'functions', 'workflow_start.sql'), 'utf8');
  return text
    .replaceAll('{{pgboss_schema}}', pg.escapeIdentifier(pgbossSchema))
    .replaceAll('{{max_input_bytes}}', String(maxInputBytes));
}

/** Whether the function's body is the one in the file. */
async function isCurrent(client: pg.Client, sql: string): Promise<boolean> {
  const { rows } = await client.query(
    `select p.prosrc from pg_proc p join pg_namespace n on n.oid = p.pronamespace
      where p.proname = 'workflow_start' and n.nspname = current_schema()`,
  );
  const [, body] = sql.split('$$');
  return rows.length === 1 && rows[0].prosrc === body;
}

async function writeFunction(client: pg.Client, sql: string): Promise<void> {
  await client.query('begin');
  await client.query(`select pg_advisory_xact_lock(${LOCK})`);
  await client.query(sql);
  await client.query('commit');
}
