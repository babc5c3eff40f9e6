/**
 * An engine and the launcher that started it, as processes of their own: when one is gone, so is the other.
 */
import { expect, test } from 'bun:test';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { EngineDatabase } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

const ROOT = join(import.meta.dir, '..', '..', '..');
const NODE = Bun.which('node') ?? process.execPath;
let database: EngineDatabase;

fixtureForAll(async (fixture) => {
  database = await fixture.database();
});

/** The command of an engine, started as a service manager does. */
function start(command: readonly string[], env: Record<string, string> = {}) {
  return spawn(command[0]!, command.slice(1), {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      PATH: process.env.PATH ?? '',
      DATABASE_URL: database.url,
      EXECUTION_ENGINE_PORT: '0',
      ...env,
    },
  });
}

const LAUNCHED = [NODE, 'scripts/bun.mjs', 'execution-engine.ts'];
const BARE = [process.execPath, 'execution-engine.ts'];

/** The lines of its log, up to the end of every process that could write one. */
async function linesOf(
  child: ReturnType<typeof start>,
  ready: (line: { url: string; pid: number }) => void,
): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line);
    if (line.includes('Execution Engine is ready')) ready(JSON.parse(line));
  }
  return lines.map((line) => (JSON.parse(line) as { msg: string }).msg);
}

async function expectClosed(url: string): Promise<void> {
  const { hostname, port } = new URL(url);
  const [failure] = await once(connect(Number(port), hostname), 'error');
  expect(failure).toMatchObject({ code: 'ECONNREFUSED' });
}

test('an engine drains when its launcher is killed, and leaves its port', async () => {
  const launcher = start(LAUNCHED);
  let url = '';
  const messages = await linesOf(launcher, (line) => {
    url = line.url;
    launcher.kill('SIGKILL');
  });
  expect(messages.slice(-2)).toEqual(['Draining: running steps may finish, nothing new is begun', 'Stopped']);
  await expectClosed(url);
});

test('also when nobody reads its log any more', async () => {
  const launcher = start(LAUNCHED);
  const ready = Promise.withResolvers<string>();
  createInterface({ input: launcher.stdout }).on('line', (line) => {
    if (line.includes('Execution Engine is ready')) ready.resolve((JSON.parse(line) as { url: string }).url);
  });
  const url = await ready.promise;
  launcher.stdout.destroy();
  launcher.kill('SIGKILL');
  await database.until(
    `select not exists (select 1 from pg_stat_activity where datname = current_database() and application_name like 'engine/%')`,
  );
  await expectClosed(url);
  // One that drained has signed off.
  const { rows } = await database.pool.query('select id from execution_engines');
  expect(rows).toEqual([]);
});

test('a launcher that is gone before the engine looks ends it as well', async () => {
  const gone = spawn('true');
  await once(gone, 'exit');
  const engine = start(BARE, { EXECUTION_ENGINE_LAUNCHER_PID: String(gone.pid) });
  const messages = await linesOf(engine, () => {});
  expect(messages.at(-1)).toBe('Stopped');
  expect(messages.join('\n')).not.toContain('is ready');
});

test('an engine that was not started by the launcher that its environment names does not look after that', async () => {
  const other = spawn('sleep', ['600']);
  const engine = start(BARE, { EXECUTION_ENGINE_LAUNCHER_PID: String(other.pid) });
  const messages = await linesOf(engine, async () => {
    other.kill('SIGKILL');
    await once(other, 'exit');
    // Until the heartbeat of the engine is younger than the end of the other process by more than a look.
    await database.until(
      `select heartbeat_at > $1::timestamptz + interval '2 s' from execution_engines where pid = $2`,
      [new Date().toISOString(), engine.pid],
    );
    engine.kill('SIGTERM');
  });
  expect(messages.slice(-2)).toEqual(['Draining: running steps may finish, nothing new is begun', 'Stopped']);
  expect(messages.join('\n')).not.toContain('launcher');
});
