/**
 * `npm run database-url`: prints the URL of the database, password and all, for psql and friends.
 *
 * Without DATABASE_URL it is that of the embedded PostgreSQL, which runs while an engine does. Nothing is started.
 */
import { loadProcessConfig } from '../config/config.ts';
import { findEmbeddedPostgres } from '../embedded/postgres.ts';

const { databaseUrl, dataDir } = loadProcessConfig();
const url =
  databaseUrl ?? (await findEmbeddedPostgres(dataDir, (message) => process.stderr.write(`${message}\n`)));
if (url !== null) process.stdout.write(`${url}\n`);
else process.stderr.write(`No embedded PostgreSQL is running on ${dataDir}: start the engine first.\n`);
process.exit(url === null ? 1 : 0);
