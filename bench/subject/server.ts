/**
 * The one durable PostgreSQL of a benchmark, with a database for each process that is measured.
 *
 * The settings are those of the engine's embedded server (fsync on, synchronous_commit on), plus pg_stat_statements,
 * which is off except while statements are counted. The data is in a separate folder that is removed at the end.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createPool, type Pool } from '../../db/connection/client.ts';
import { startEmbeddedPostgres } from '../../embedded/postgres.ts';
import { postmasterPid } from '../cost.ts';

const SHOWN = [
  'server_version',
  'fsync',
  'synchronous_commit',
  'full_page_writes',
  'wal_sync_method',
  'max_connections',
  'shared_buffers',
  'max_wal_size',
  'shared_preload_libraries',
];

/** How long the next measurement waits for a vacuum to end. */
const SETTLE_MS = 30_000;

export interface BenchServer {
  /** Of the server's own database, in which no measured process works. */
  readonly admin: Pool;
  readonly pid: number;
  /** By name, as the server itself says. */
  readonly settings: Readonly<Record<string, string>>;
  /** Makes the database when it is missing; returns its URL. */
  database(name: string): Promise<string>;
  /** Whether statements are counted in sessions of the database that begin from now on. */
  count(database: string, on: boolean): Promise<void>;
  /** Does the vacuum and the checkpoint for earlier processes, so that the next one is not slowed by them. */
  settle(): Promise<void>;
  stop(): Promise<void>;
}

export async function startBenchServer(): Promise<BenchServer> {
  const folder = await mkdtemp(join(tmpdir(), 'execution-engine-bench-'));
  const postgres = await startEmbeddedPostgres({
    dataDir: folder,
    log: () => {},
    port: 0,
    settings: { shared_preload_libraries: 'pg_stat_statements', 'pg_stat_statements.track': 'none' },
  });
  const admin = createPool(postgres.url, { max: 2, applicationName: 'bench', statementTimeoutMs: 0 });
  await admin.query('create extension if not exists pg_stat_statements');
  const { rows } = await admin.query(
    'select name, current_setting(name) as value from unnest($1::text[]) as name',
    [SHOWN],
  );
  return {
    admin,
    pid: await postmasterPid(admin),
    settings: Object.fromEntries(rows.map(({ name, value }) => [name, value])),
    database: (name) => makeDatabase(admin, postgres.url, name),
    count: async (database, on) => {
      await admin.query(
        `alter database "${database}" set pg_stat_statements.track = '${on ? 'top' : 'none'}'`,
      );
    },
    settle: async () => {
      for (const deadline = performance.now() + SETTLE_MS; performance.now() < deadline; await delay(200)) {
        const { rows } = await admin.query(
          `select 1 from pg_stat_activity where backend_type = 'autovacuum worker'`,
        );
        if (rows.length === 0) break;
      }
      await admin.query('checkpoint');
    },
    stop: async () => {
      await admin.end();
      await postgres.stop();
      if (postgres.dataDir !== folder) await rm(postgres.dataDir, { recursive: true, force: true });
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Ends all started processes when the benchmark is interrupted: an embedded server would outlive its starter. */
export function stopOnSignal(stop: () => Promise<void>): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => stop().finally(() => process.exit(130)));
  }
}

async function makeDatabase(admin: Pool, serverUrl: string, name: string): Promise<string> {
  const { rows } = await admin.query('select 1 from pg_database where datname = $1', [name]);
  if (rows.length === 0) await admin.query(`create database "${name}"`);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
}
