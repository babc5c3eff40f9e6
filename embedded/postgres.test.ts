import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test';
import { type ChildProcess, spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setImmediate as turn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { isAlive } from './cluster.ts';
import { type EmbeddedOptions, findEmbeddedPostgres, startEmbeddedPostgres } from './postgres.ts';

const ENGINE = fileURLToPath(new URL('../tests/support/database/embedded-engine.ts', import.meta.url));
const settings = { fsync: 'off', shared_buffers: '16MB', max_connections: '30' };

/** Has data after beforeAll; every test leaves its server stopped. */
const folder = newFolder();
const folders: string[] = [];
const children: ChildProcess[] = [];

function newFolder(): string {
  const made = mkdtempSync(join(tmpdir(), 'embedded-'));
  chmodSync(made, 0o755);
  return made;
}

function freshFolder(): string {
  const made = newFolder();
  folders.push(made);
  return made;
}

function start(dataDir: string, options: Partial<EmbeddedOptions> = {}) {
  return startEmbeddedPostgres({ dataDir, port: 0, log: () => {}, settings, ...options });
}

interface Started {
  url: string;
  dataDir: string;
  adopted: boolean;
}

/** An engine in a process (and process group) of its own. */
function engine(dataDir: string, options: { port?: number; command?: string[]; spawn?: object } = {}) {
  const [program = process.execPath, ...args] = options.command ?? [process.execPath, ENGINE];
  const child = spawn(program, [...args, dataDir, String(options.port ?? 0)], {
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
    ...options.spawn,
  });
  children.push(child);
  let complaints = '';
  child.stderr?.on('data', (chunk) => {
    complaints += chunk;
  });
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const line = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`the engine ended: ${complaints}`);
    return JSON.parse(value);
  };
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  return {
    pid: child.pid!,
    started: line() as Promise<Started>,
    complaints: () => complaints,
    stop: async () => {
      child.stdin?.end();
      await line();
      await ended;
    },
    kill: async (signal: NodeJS.Signals = 'SIGKILL', pid = child.pid!) => {
      process.kill(pid, signal);
      await ended;
    },
  };
}

function postmaster(dataDir: string): number | null {
  const file = join(dataDir, 'pg18', 'postmaster.pid');
  return existsSync(file) ? Number(readFileSync(file, 'utf8').split('\n')[0]) : null;
}

async function ask<T = unknown>(url: string, sql: string): Promise<T[]> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query({ text: sql, rowMode: 'array' })).rows.flat() as T[];
  } finally {
    await client.end();
  }
}

/** The server notices in its own time that an engine was killed. */
async function untilAlone(url: string): Promise<void> {
  const sessions = `select count(*)::int from pg_stat_activity where application_name = 'execution-engine/presence'`;
  while ((await ask<number>(url, sessions))[0] !== 1);
}

beforeAll(async () => {
  const server = await start(folder);
  await ask(server.url, 'create table kept (id int); insert into kept values (7)').catch(() => {});
  await server.stop();
});

afterEach(() => {
  for (const child of children.splice(0)) if (child.exitCode === null) child.kill('SIGKILL');
});

afterAll(async () => {
  for (const made of [folder, ...folders]) {
    const pid = postmaster(made);
    if (pid !== null && isAlive(pid)) {
      process.kill(pid, 'SIGQUIT');
      while (isAlive(pid)) await turn();
    }
    rmSync(made, { recursive: true, force: true });
  }
});

const KEPT = 'select id from kept';

describe('one engine', () => {
  test('starts its server, keeps its data over a restart and stops it', async () => {
    const server = await start(folder);
    expect(server.adopted).toBe(false);
    expect(server.dataDir).toBe(folder);
    expect(await ask<number>(server.url, KEPT)).toEqual([7]);
    const pid = postmaster(folder)!;
    await Promise.all([server.stop(), server.stop()]);
    expect(postmaster(folder)).toBeNull();
    // It has ended when it is done, and is gone when it is buried.
    while (isAlive(pid)) await turn();
  });

  test('is found while its server runs, and nothing is started or made to find it', async () => {
    const nothing = join(freshFolder(), 'nothing');
    const found = (dataDir: string) => findEmbeddedPostgres(dataDir, () => {});
    expect(await found(nothing)).toBeNull();
    expect(existsSync(nothing)).toBe(false);
    expect(await found(folder)).toBeNull();
    const { url, stop } = await start(folder);
    expect(await found(folder)).toBe(url);
    await stop();
    expect(await found(folder)).toBeNull();
  });

  test('has a durable server with the settings that were asked for, on loopback only', async () => {
    const server = await start(freshFolder(), { settings: { shared_buffers: '16MB' } });
    const names = [
      'fsync',
      'synchronous_commit',
      'max_connections',
      'shared_buffers',
      'listen_addresses',
      'TimeZone',
    ];
    const values = await ask(
      server.url,
      `select ${names.map((name) => `current_setting('${name}')`).join(', ')}`,
    );
    expect(values).toEqual(['on', 'on', '200', '16MB', '127.0.0.1', 'UTC']);
    await server.stop();
  });

  test('takes another port when the wanted one is in use', async () => {
    const blocker = createServer();
    await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve));
    const { port } = blocker.address() as AddressInfo;
    const server = await start(folder, { port });
    expect(Number(new URL(server.url).port)).not.toBe(port);
    expect(await ask<number>(server.url, KEPT)).toEqual([7]);
    await server.stop();
    blocker.close();
    const again = await start(folder, { port });
    expect(Number(new URL(again.url).port)).toBe(port);
    await again.stop();
  });

  test('leaves its server running when somebody is connected to it', async () => {
    const lines: string[] = [];
    const server = await start(folder, { log: (line) => lines.push(line) });
    const visitor = new pg.Client({ connectionString: server.url });
    await visitor.connect();
    await server.stop();
    expect(lines.at(-1)).toContain('left running');
    expect((await visitor.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    await visitor.end();
    const next = await start(folder);
    expect(next.adopted).toBe(true);
    await next.stop();
    expect(postmaster(folder)).toBeNull();
  });

  test('brings its server back when it dies, on the same port', async () => {
    const server = await start(folder);
    process.kill(postmaster(folder)!, 'SIGKILL');
    for (let back: number[] = []; back.length === 0; )
      back = await ask<number>(server.url, KEPT).catch(() => []);
    await server.stop();
    expect(postmaster(folder)).toBeNull();
  });

  test('says what is wrong when its server cannot start', async () => {
    const work = start(folder, { settings: { ...settings, shared_buffers: 'plenty' } });
    expect(await work.catch((error: Error) => error.message)).toContain('shared_buffers');
    expect(postmaster(folder)).toBeNull();
  });

  test('refuses a folder with data of another major version', async () => {
    const made = freshFolder();
    await Bun.write(join(made, 'pg17', 'PG_VERSION'), '17\n');
    expect(await start(made).catch((error: Error) => error.message)).toContain('PostgreSQL 17');
    expect(readdirSync(made)).toEqual(['pg17']);
  });
});

describe('an engine that is killed', () => {
  test('leaves its server running, and the next engine adopts it', async () => {
    const first = engine(folder);
    const { url, adopted } = await first.started;
    expect(adopted).toBe(false);
    await ask(url, 'select 1');
    const pid = postmaster(folder);
    await first.kill();
    const next = await start(folder);
    expect(next.adopted).toBe(true);
    expect(next.url).toBe(url);
    expect(postmaster(folder)).toBe(pid);
    await untilAlone(next.url);
    await next.stop();
    expect(postmaster(folder)).toBeNull();
  });

  test.skipIf(process.platform === 'win32')(
    'by Ctrl-C in its terminal does not take its server along',
    async () => {
      const first = engine(folder);
      await first.started;
      const pid = postmaster(folder)!;
      await first.kill('SIGINT', -first.pid);
      const next = await start(folder);
      expect(next.adopted).toBe(true);
      expect(postmaster(folder)).toBe(pid);
      await untilAlone(next.url);
      await next.stop();
    },
  );

  test('while it makes the data directory leaves nothing that is in the way', async () => {
    const made = freshFolder();
    const first = engine(made);
    first.started.catch(() => {});
    const isMade = () => existsSync(join(made, 'pg18'));
    while (
      !isMade() &&
      !readdirSync(made).some((name) => name.startsWith('pg18.init.') && !name.endsWith('.password'))
    )
      await turn();
    await first.kill();
    const server = await start(made);
    expect(await ask<number>(server.url, 'select 1')).toEqual([1]);
    await server.stop();
    expect(readdirSync(made).filter((name) => name.endsWith('.password'))).toEqual([]);
  });
});

describe('a server that was killed', () => {
  test('is started again by the next engine, with its data', async () => {
    const first = engine(folder);
    await first.started;
    const pid = postmaster(folder)!;
    await first.kill();
    process.kill(pid, 'SIGKILL');
    const next = await start(folder);
    expect(next.adopted).toBe(false);
    expect(postmaster(folder)).not.toBe(pid);
    expect(await ask<number>(next.url, KEPT)).toEqual([7]);
    await next.stop();
  });

  test('whose process id belongs to another program now is started again, and that program is left alone', async () => {
    const other = spawn('sleep', ['600'], { stdio: 'ignore' });
    children.push(other);
    const file = join(folder, 'pg18', 'postmaster.pid');
    writeFileSync(file, `${other.pid}\n${folder}/pg18\n1\n1\n\n127.0.0.1\n1 1\nready   \n`);
    const server = await start(folder);
    expect(server.adopted).toBe(false);
    expect(await ask<number>(server.url, KEPT)).toEqual([7]);
    expect(isAlive(other.pid!)).toBe(true);
    await server.stop();
  });
});

describe('several engines on one folder', () => {
  test('that start at the same moment on nothing share one server, and the last one stops it', async () => {
    const made = freshFolder();
    const engines = [engine(made), engine(made), engine(made)];
    const started = await Promise.all(engines.map((one) => one.started));
    expect(new Set(started.map(({ url }) => url)).size).toBe(1);
    expect(started.filter(({ adopted }) => !adopted)).toHaveLength(1);
    expect(readdirSync(made).sort()).toEqual(['pg18', 'pg18.log']);
    const pid = postmaster(made)!;
    const [first, second, third] = engines;
    await first!.stop();
    expect(isAlive(pid)).toBe(true);
    await Promise.all([second!.stop(), third!.stop()]);
    expect(postmaster(made)).toBeNull();
  });

  test('one of which stops while the other starts: the other always has a server', async () => {
    let current = await start(folder);
    for (let round = 0; round < 6; round += 1) {
      const [next] = await Promise.all([start(folder), current.stop()]);
      expect(await ask<number>(next.url, KEPT)).toEqual([7]);
      current = next;
    }
    await current.stop();
    expect(postmaster(folder)).toBeNull();
  });
});
