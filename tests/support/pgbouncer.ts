/**
 * A PgBouncer in transaction mode before a database, where one is installed (Debian: `apt-get install pgbouncer`).
 */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface PgBouncer {
  /** The database, through it. */
  readonly url: string;
  close(): Promise<void>;
}

const PROGRAM = Bun.which('pgbouncer', { PATH: `${process.env.PATH}:/usr/sbin:/usr/local/sbin` });

/** As it says itself: `PgBouncer 1.18.0`; null: none is installed. */
export const PGBOUNCER_VERSION =
  PROGRAM === null ? null : Bun.spawnSync([PROGRAM, '--version']).stdout.toString().split('\n')[0]!;

/** @param size sessions of the server it shares out */
export async function startPgBouncer(target: string, size: number): Promise<PgBouncer> {
  const { hostname, port, username, password } = new URL(target);
  const folder = await mkdtemp(join(tmpdir(), 'pgbouncer-'));
  const listenPort = await freePort();
  const users = join(folder, 'users.txt');
  const config = join(folder, 'pgbouncer.ini');
  await writeFile(users, `"${decodeURIComponent(username)}" "${decodeURIComponent(password)}"\n`);
  await writeFile(
    config,
    [
      '[databases]',
      `* = host=${hostname} port=${port}`,
      '[pgbouncer]',
      'listen_addr = 127.0.0.1',
      `listen_port = ${listenPort}`,
      'unix_socket_dir =',
      'auth_type = trust',
      `auth_file = ${users}`,
      'pool_mode = transaction',
      `default_pool_size = ${size}`,
      'max_client_conn = 500',
    ].join('\n'),
  );
  await chmod(folder, 0o755);
  // It refuses to be root.
  const user = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
  const child = Bun.spawn([PROGRAM!, ...user, config], { stdout: 'ignore', stderr: 'pipe' });
  const ready = Promise.withResolvers<void>();
  const reading = readLines(child.stderr, (text) => {
    if (text.includes(`listening on 127.0.0.1:${listenPort}`)) ready.resolve();
  });
  child.exited.then(async () => ready.reject(new Error(`PgBouncer ended:\n${await reading}`)));
  await ready.promise;
  const url = new URL(target);
  url.hostname = '127.0.0.1';
  url.port = String(listenPort);
  return {
    url: url.href,
    close: async () => {
      child.kill('SIGKILL');
      await child.exited;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function readLines(
  stream: ReadableStream<Uint8Array>,
  onText: (text: string) => void,
): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of stream) {
    text += decoder.decode(chunk, { stream: true });
    onText(text);
  }
  return text;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
