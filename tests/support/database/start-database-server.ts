/**
 * Starts the shared PostgreSQL of the tests before the first of them: `npm test` runs this first.
 *
 * With `--parallel` Bun ends whatever a test file has started when that file is over, the server included, in the
 * middle of the others. Started from here it belongs to no test file and is adopted by all.
 */
import { testDatabase } from './database.ts';

const { drop } = await testDatabase({ migrated: true });
await drop();
process.exit(0);
