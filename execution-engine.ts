/**
 * The entry point: read the configuration, start the database if none is given, start the engine, stop on signals.
 */
import { ConfigError, loadProcessConfig } from './config/config.ts';
import { createMasker } from './core/masking/masker.ts';
import { startEmbeddedPostgres } from './embedded/postgres.ts';
import { type DatabaseSource, type Engine, startEngine } from './engine/engine.ts';
import { watchLauncher } from './process/launcher-watch.ts';
import { createLog } from './telemetry/log.ts';
import { plainText } from './telemetry/log-line.ts';

/** Until the configuration is read nothing is known that must not be told. */
let masker = createMasker([]);

async function main(): Promise<void> {
  const config = loadProcessConfig();
  masker = createMasker(config.masked);
  // A log whose reader is gone, or whose disc is full, loses lines; it ends no engine.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
  const log = createLog({
    level: config.logLevel,
    pretty: process.stdout.isTTY === true,
    secrets: config.masked,
  });
  for (const warning of config.warnings) log.warn(warning);
  const database: DatabaseSource =
    config.databaseUrl ??
    (() => startEmbeddedPostgres({ dataDir: config.dataDir, log: (message) => log.info(message) }));
  const stopping = new AbortController();
  let starting: Promise<Engine> | null = null;
  const stop = async (signal: string) => {
    if (stopping.signal.aborted) return;
    stopping.abort();
    log.info({ signal }, isReady ? 'Draining: running steps may finish, nothing new is begun' : 'Stopping');
    try {
      // A start that is given up has undone what it made.
      const engine = await starting?.catch(() => null);
      await engine?.stop();
      log.info('Stopped');
      process.exit(0);
    } catch (error) {
      log.fatal({ err: error }, 'The stop failed');
      process.exit(1);
    }
  };
  let isReady = false;
  // Before anything is waited for: whoever started a server stops it, also when nothing comes of the engine.
  process.on('SIGTERM', () => stop('SIGTERM'));
  process.on('SIGINT', () => stop('SIGINT'));
  if (config.launcherPid !== null)
    watchLauncher(config.launcherPid, () => stop('the launcher, scripts/bun.mjs, is gone'));
  starting = startEngine(config, database, log, stopping.signal);
  let engine: Engine;
  try {
    engine = await starting;
  } catch (error) {
    // A stop that goes on ends the process.
    if (stopping.signal.aborted) return;
    throw error;
  }
  if (stopping.signal.aborted) return;
  isReady = true;
  // Last: whoever waits for this line may send a signal the moment it is there.
  log.info(
    { engine: engine.id, url: engine.url, role: config.role },
    `Execution Engine is ready on ${engine.url}`,
  );
}

main().catch((error: unknown) => {
  const lines =
    error instanceof ConfigError ? error.problems : [error instanceof Error ? error.message : String(error)];
  for (const line of lines) process.stderr.write(`${plainText(line, masker)}\n`);
  process.exit(1);
});
