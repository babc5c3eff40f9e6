/**
 * A process that uses an embedded PostgreSQL as an engine does, for tests that start, kill and race engines.
 *
 * `bun tests/support/database/embedded-engine.ts <folder> <port>`: prints one line of JSON when the server is there and
 * one when it has left it, which it does when its standard input ends.
 */
import { startEmbeddedPostgres } from '../../../embedded/postgres.ts';

const [dataDir = '', port = '0'] = process.argv.slice(2);
const server = await startEmbeddedPostgres({
  dataDir,
  port: Number(port),
  log: (message) => console.error(message),
  settings: { fsync: 'off', shared_buffers: '16MB', max_connections: '30' },
});
console.log(JSON.stringify({ url: server.url, dataDir: server.dataDir, adopted: server.adopted }));
for await (const _ of process.stdin);
await server.stop();
console.log(JSON.stringify({ stopped: true }));
