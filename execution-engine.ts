/**
 * The entry point: read the configuration, start the database if none is given, start the engine, stop on signals.
 */
import { ConfigError, loadProcessConfig } from './config.ts';
import { startEmbeddedPostgres } from './db/embedded-postgres.ts';
import { startEngine } from './engine.ts';
import { createLog } from './telemetry/log.ts';

async function main(): Promise<void> {
  const config = loadProcessConfig();
  const log = createLog({
    level: config.logLevel,
    pretty: process.stdout.isTTY === true,
    secrets: Object.values(config.secrets),
  });
  for (const warning of config.warnings) log.warn(warning);
  const embedded =
    config.databaseUrl === null
      ? await startEmbeddedPostgres({ dataDir: config.dataDir, log: (message) => log.info(message) })
      : null;
  const engine = await startEngine(config, config.databaseUrl ?? embedded!.url, log).catch(async (error) => {
    // Whoever started a server stops it, also when nothing came of the engine.
    await embedded?.stop();
    throw explained(error);
  });
  let stopping = false;
  const stop = async (signal: string) => {
    if (stopping) return;
    stopping = true;
    log.info({ signal }, 'Draining: running steps may finish, nothing new is begun');
    try {
      await engine.stop();
      await embedded?.stop();
      log.info('Stopped');
      process.exit(0);
    } catch (error) {
      log.fatal({ err: error }, 'The stop failed');
      process.exit(1);
    }
  };
  process.on('SIGTERM', () => stop('SIGTERM'));
  process.on('SIGINT', () => stop('SIGINT'));
  // Last: whoever waits for this line may send a signal the moment it is there.
  log.info(
    { engine: engine.id, url: engine.url, role: config.role },
    `Execution Engine is ready on ${engine.url}`,
  );
}

/** The system error codes and SQLSTATEs of a database that cannot be reached or refuses us. */
const UNREACHABLE = /^(ECONN|ENOTFOUND|EAI_|EHOST|ETIMEDOUT|28|3D|57P03|08)/;

/** Says which variable an unusable database comes from. */
function explained(error: unknown): unknown {
  const { code, message } = error as { code?: unknown; message?: unknown };
  if (typeof code !== 'string' || !UNREACHABLE.test(code)) return error;
  return new Error(
    `DATABASE_URL names a database that cannot be used: ${message}; accepted: the URL of a PostgreSQL that answers, ` +
      'with a user that may log in and an existing database, such as postgres://user:password@host:5432/name',
    { cause: error },
  );
}

main().catch((error: unknown) => {
  const lines =
    error instanceof ConfigError ? error.problems : [error instanceof Error ? error.message : String(error)];
  for (const line of lines) process.stderr.write(`${line}\n`);
  process.exit(1);
});
