/**
 * `npm run database-url`: prints the URL of the embedded PostgreSQL, password and all, for psql and friends.
 *
 * For a running server; a stopped one is started, named and stopped again.
 */
import { loadProcessConfig } from '../config/config.ts';
import { startEmbeddedPostgres } from '../embedded/postgres.ts';

const config = loadProcessConfig();
if (config.databaseUrl === null) {
  const embedded = await startEmbeddedPostgres({
    dataDir: config.dataDir,
    log: (message) => process.stderr.write(`${message}\n`),
  });
  process.stdout.write(`${embedded.url}\n`);
  await embedded.stop();
} else {
  process.stdout.write(`${config.databaseUrl}\n`);
}
process.exit(0);
