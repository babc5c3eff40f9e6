/**
 * A PgBouncer in transaction mode before a database, where one is installed (Debian: `apt-get install pgbouncer`).
 */
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
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
  const settings = {
    listen_port: listenPort,
    auth_type: 'trust',
    auth_file: users,
    default_pool_size: size,
    unix_socket_dir: '',
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}`);
  // A setting that comes again takes the place of the one before.
  await writeFile(
    config,
    [`[databases]`, `* = host=${hostname} port=${port}`, await documented(), ...lines].join('\n'),
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

/** The configuration that the documentation recommends, without its databases. */
async function documented(): Promise<string> {
  const page = await readFile(join(import.meta.dir, '..', '..', '..', 'docs', 'databases.md'), 'utf8');
  const [, text] = /^```ini\n[\s\S]*?(^\[pgbouncer\]\n[\s\S]*?)^```$/m.exec(page) ?? [];
  if (text === undefined) throw new Error('docs/databases.md has no pgbouncer.ini');
  return text;
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
