/**
 * A connection to a database with the engine's functions, for all tests of a file.
 */
import { afterAll, beforeAll } from 'bun:test';
import pg from 'pg';
import { migrateEngine } from '../../../db/migrate/migrate-engine.ts';
import { type TestDatabase, testDatabase } from './database.ts';

/** Returns a function that gives the connection, once the tests run. */
export function functionsClient(): () => pg.Client {
  let database: TestDatabase;
  let client: pg.Client;
  beforeAll(async () => {
    database = await testDatabase({ migrated: true });
    await migrateEngine(database.url, { pgbossSchema: 'pgboss', maxInputBytes: 1_000_000 });
    client = new pg.Client({ connectionString: database.url });
    await client.connect();
  });
  afterAll(async () => {
    await client.end();
    await database.drop();
  });
  return () => client;
}
