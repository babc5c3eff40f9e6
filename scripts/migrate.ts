/**
 * `bun run migrate`: brings the database to the schema of this version and ends. With `--dry-run` it prints
 * the SQL it would run and changes nothing.
 *
 * Uses DATABASE_URL, or the embedded PostgreSQL, which it starts and leaves as it found it.
 */
import { parseArgs } from 'node:util';
import { ConfigError, loadProcessConfig } from '../config/config.ts';
import { createMasker } from '../core/masking/masker.ts';
import { routeTo } from '../db/connection/features.ts';
import { explainRights } from '../db/connection/rights.ts';
import { checkServer } from '../db/connection/server-check.ts';
import type { MigrateResult } from '../db/migrate/migrate.ts';
import { migrateEngine } from '../db/migrate/migrate-engine.ts';
import { startEmbeddedPostgres } from '../embedded/postgres.ts';
import { bossPlans, installBoss } from '../queue/boss.ts';
import { plainText } from '../telemetry/log-line.ts';

const USAGE = 'usage: migrate [--dry-run]\n  --dry-run  print the SQL that would be run, and change nothing';

/** Exit codes: 0 done, 1 failed, 2 wrong usage or configuration. */
async function main(args: string[]): Promise<number> {
  const dryRun = readArguments(args);
  if (dryRun === null) return 2;
  const config = loadProcessConfig();
  for (const warning of config.warnings) console.error(warning);
  const log = (message: string) => console.error(message);
  const embedded =
    config.databaseUrl === null ? await startEmbeddedPostgres({ dataDir: config.dataDir, log }) : null;
  try {
    const url = config.databaseUrl ?? embedded!.url;
    const { pgbossSchema, databaseBackend: backend, directUrl } = config;
    const checked = await checkServer(url, { backend, directUrl });
    const { isPooled, directUrl: past } = checked;
    const route = routeTo(checked.url, { backend, directUrl: past, isPooled });
    const { long } = route;
    const result = await migrateEngine(route, {
      pgbossSchema,
      maxInputBytes: config.limits.maxBodyBytes,
      maxOutputBytes: config.limits.maxOutputBytes,
      maxJsonDepth: config.limits.maxJsonDepth,
      dryRun,
    });
    if (dryRun) result.pending.push(...(await bossPlans(long.url, pgbossSchema, backend)));
    else
      await installBoss({ ...long, backend, schema: pgbossSchema, onError: (error) => log(error.message) });
    report(result, dryRun);
    return 0;
  } catch (error) {
    throw await explainRights(error, config.databaseUrl ?? embedded!.url);
  } finally {
    await embedded?.stop();
  }
}

/** Whether it is a dry run; null after an error was printed. */
function readArguments(args: string[]): boolean | null {
  try {
    const { values } = parseArgs({ args, options: { 'dry-run': { type: 'boolean', default: false } } });
    return values['dry-run'];
  } catch (error) {
    console.error(`${(error as Error).message}\n${USAGE}`);
    return null;
  }
}

function report({ applied, pending }: MigrateResult, dryRun: boolean): void {
  for (const { name, sql } of pending) console.log(`-- ${name}\n${sql.trimEnd()}\n`);
  for (const name of applied) console.log(`applied ${name}`);
  if (pending.length + applied.length === 0) console.log(dryRun ? '-- nothing to do' : 'nothing to do');
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(plainText((error as Error).message, createMasker([])));
  process.exitCode = error instanceof ConfigError ? 2 : 1;
}
