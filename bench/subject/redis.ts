/**
 * A Redis of the benchmark's own, when the machine has one: loopback, append-only file, fsync every second
 * (what its documentation recommends; it may lose a second of work that PostgreSQL would not).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

export const REDIS_SETTINGS = 'appendonly yes, appendfsync everysec, save ""';

export interface BenchRedis {
  readonly pid: number;
  readonly port: number;
  readonly version: string;
  stop(): Promise<void>;
}

/** Null when no redis-server is on the path. */
export async function startRedis(): Promise<BenchRedis | null> {
  const binary = onPath('redis-server');
  if (binary === null) return null;
  const folder = await mkdtemp(join(tmpdir(), 'execution-engine-bench-redis-'));
  const port = await freePort();
  const options = ['--bind', '127.0.0.1', '--port', String(port), '--dir', folder, '--save', ''];
  const durable = ['--appendonly', 'yes', '--appendfsync', 'everysec'];
  const child = spawn(binary, [...options, ...durable], { stdio: ['ignore', 'pipe', 'inherit'] });
  const version = await untilReady(child);
  return {
    pid: child.pid!,
    port,
    version,
    stop: async () => {
      child.kill('SIGTERM');
      if (child.exitCode === null) await once(child, 'exit');
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function untilReady(child: ChildProcess): Promise<string> {
  let text = '';
  for await (const chunk of child.stdout!) {
    text += chunk;
    if (text.includes('Ready to accept connections')) break;
  }
  // The output is not read further; a full pipe would stop the server.
  child.stdout!.resume();
  return /version=([\d.]+)/i.exec(text)?.[1] ?? 'unknown';
}

function onPath(name: string): string | null {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return join(folder, name);
    } catch {
      // The next folder may have it.
    }
  }
  return null;
}

function freePort(): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  const server = createServer();
  server.listen(0, '127.0.0.1', () => {
    const { port } = server.address() as { port: number };
    server.close(() => resolve(port));
  });
  return promise;
}
