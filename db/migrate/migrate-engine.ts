/**
 * Brings a database up to this version of the engine: migrations, then its SQL functions.
 *
 * The functions hold settings of this engine (pg-boss's schema, the largest input) and are therefore replaced
 * at every start where they differ from the stored ones, under the lock of the migrations.
 */
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { START_BOUNDS } from '../../core/start/start-bounds.ts';
import { SIGNAL_BOUNDS } from '../../core/waits/signal-bounds.ts';
import { type DatabaseRoute, routeTo } from '../connection/features.ts';
import { lockRow } from '../connection/named-lock.ts';
import { runAgain } from '../connection/run-again.ts';
import { MIGRATIONS_LOCK, type MigrateResult, migrateOn, onOwnSession } from './migrate.ts';

const DATABASE = dirname(dirname(fileURLToPath(import.meta.url)));
const MIGRATIONS = join(DATABASE, 'migrations');
/** One function in a file of its name, each before those that call it. */
const FUNCTIONS = [
  'execution_engine_inexact_number',
  'execution_engine_as_doubles',
  'execution_engine_start_time',
  'execution_engine_is_ipv6',
  'execution_engine_start_problem',
  'workflow_start',
  'workflow_signal',
  'grant_execution_engine',
];
/** The same number as the migrations' lock: one engine at a time changes the schema. */
const LOCK = '297528313602';
const DEFAULT_MAX_JSON_DEPTH = 512;
const DEFAULT_MAX_OUTPUT_BYTES = 1_048_576;
/** The line of workflow_start that wakes engines; removed without NOTIFY, as engines poll then. */
const NOTIFY = /^ *perform pg_notify\(.*\);\n/m;

export interface MigrateEngineOptions {
  readonly pgbossSchema: string;
  readonly maxInputBytes: number;
  /** Of an output of a step, and so of a signal's payload; default 1 MiB. */
  readonly maxOutputBytes?: number;
  /** Levels of a request's body; default 512. */
  readonly maxJsonDepth?: number;
  readonly dryRun?: boolean;
}

/** @param database a URL, or a known route */
export async function migrateEngine(
  database: string | DatabaseRoute,
  options: MigrateEngineOptions,
): Promise<MigrateResult> {
  const { pgbossSchema, dryRun = false } = options;
  const { long, features } = typeof database === 'string' ? routeTo(database) : database;
  const { advisoryLocks } = features;
  const { pooled } = long.session;
  const how = { dir: MIGRATIONS, pgbossSchema, dryRun, advisoryLocks, pooled };
  return onOwnSession(long.url, how, async (client) => {
    const result = await migrateOn(client, how);
    // The functions are of the newer version too.
    if (result.newer.length > 0) return result;
    const { rows } = await client.query('select current_schema() as name');
    const values = functionValues(rows[0].name, options);
    const functions = await Promise.all(FUNCTIONS.map((name) => functionSql(name, values, features.listen)));
    for (const { name, sql } of functions) {
      if (await isCurrent(client, name, sql)) continue;
      if (dryRun) result.pending.push({ name: `${name}.sql`, sql, checksum: '' });
      else await runAgain(() => writeFunction(client, sql, advisoryLocks));
    }
    return result;
  });
}

/** Returns the values for `{{name}}`. */
function functionValues(
  schema: string,
  {
    pgbossSchema,
    maxInputBytes,
    maxOutputBytes = DEFAULT_MAX_OUTPUT_BYTES,
    maxJsonDepth = DEFAULT_MAX_JSON_DEPTH,
  }: MigrateEngineOptions,
): Record<string, string> {
  return {
    schema: pg.escapeIdentifier(schema),
    pgboss_schema: pg.escapeIdentifier(pgbossSchema),
    max_input_bytes: String(maxInputBytes),
    max_inputs_depth: String(maxJsonDepth - 1),
    max_output_bytes: String(maxOutputBytes),
    max_output_depth: String(maxJsonDepth),
    max_signal_length: String(SIGNAL_BOUNDS.maxNameLength),
    max_signal_id_length: String(SIGNAL_BOUNDS.maxIdLength),
    max_kept_signals: String(SIGNAL_BOUNDS.maxKept),
    template_pattern: START_BOUNDS.templatePattern,
    max_version: String(START_BOUNDS.maxVersion),
    max_priority: String(START_BOUNDS.maxPriority),
    max_key_length: String(START_BOUNDS.maxKeyLength),
    max_tags: String(START_BOUNDS.maxTags),
    max_tag_length: String(START_BOUNDS.maxTagLength),
    max_delay_ms: String(START_BOUNDS.maxDelayMs),
    callback_pattern: START_BOUNDS.callbackPattern,
    max_callback_length: String(START_BOUNDS.maxCallbackLength),
  };
}

async function functionSql(
  name: string,
  values: Readonly<Record<string, string>>,
  notifies: boolean,
): Promise<{ name: string; sql: string }> {
  const text = await readFile(join(DATABASE, 'functions', `${name}.sql`), 'utf8');
  const sql = (notifies ? text : text.replace(NOTIFY, '')).replace(
    /\{\{([a-z_]+)\}\}/g,
    (_, value: string) => values[value]!,
  );
  return { name, sql };
}

/** Returns whether the stored body of the function equals the file's. */
async function isCurrent(client: pg.Client, name: string, sql: string): Promise<boolean> {
  const { rows } = await client.query(
    `select p.prosrc from pg_proc p join pg_namespace n on n.oid = p.pronamespace
      where p.proname = $1 and n.nspname = current_schema()`,
    [name],
  );
  const [, body] = sql.split('$$');
  return rows.length === 1 && rows[0].prosrc === body;
}

async function writeFunction(client: pg.Client, sql: string, advisoryLocks: boolean): Promise<void> {
  await client.query('begin');
  try {
    // Waiting for other engines is unbounded.
    await client.query('set local lock_timeout = 0');
    if (advisoryLocks) await client.query(`select pg_advisory_xact_lock(${LOCK})`);
    else await lockRow(client, MIGRATIONS_LOCK);
    await client.query(sql);
    await client.query('commit');
  } catch (error) {
    await client.query('rollback').catch(() => {});
    throw error;
  }
}
