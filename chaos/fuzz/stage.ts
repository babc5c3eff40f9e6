/**
 * The stage of a fuzz run: a PostgreSQL, one engine whose event loop is watched, and templates to start.
 */
import { randomUUID } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createPool, type Pool } from '../../db/connection/client.ts';
import { childrenOf, memoryBytes } from '../../process/process-usage.ts';
import { EngineProcess } from '../stage/engine-process.ts';
import { ChaosPostgres } from '../stage/postgres.ts';
import { makeEngineDatabase } from '../stage/stage.ts';
import { LOADS, SECRETS, STEP_MODULE } from './loads.ts';
import { TEMPLATES } from './templates.ts';

export interface Block {
  /** Date.now() when it ended. */
  readonly endedAt: number;
  /** In processor time. */
  readonly ms: number;
  /** By the clock. */
  readonly wallMs: number;
}

/** The senders: workspaces take turns, so there are two. */
export interface Caller {
  readonly workspaceId: string;
  readonly key: string;
}

export interface FuzzStage {
  readonly folder: string;
  readonly url: string;
  readonly callers: readonly Caller[];
  /** On the engine's database. */
  readonly sql: Pool;
  /** The engine, and the processes it has started. */
  memory(): { engine: number; children: number };
  isAlive(): boolean;
  /** The last lines that the engine wrote. */
  lastLines(): readonly string[];
  blocks(): Promise<Block[]>;
  close(): Promise<void>;
}

const WATCH = fileURLToPath(new URL('./watch.ts', import.meta.url));

export async function setFuzzStage(): Promise<FuzzStage> {
  const folder = await mkdtemp(join(tmpdir(), 'execution-engine-fuzz-'));
  await chmod(folder, 0o755);
  const postgres = await ChaosPostgres.start(join(folder, 'engine'), { fsync: 'off' });
  const address = new URL(postgres.url);
  address.pathname = '/fuzz';
  await makeEngineDatabase(postgres, address.href);
  const callers = [1, 2].map(() => ({ workspaceId: randomUUID(), key: randomUUID() }));
  const watchFile = join(folder, 'blocks');
  appendFileSync(watchFile, '');
  const secrets = join(folder, 'secrets.json');
  await writeFile(secrets, JSON.stringify(SECRETS), { mode: 0o600 });
  const engine = await EngineProcess.start('fuzz', {
    folder,
    databaseUrl: address.href,
    settings: {
      FUZZ_WATCH_FILE: watchFile,
      EXECUTION_ENGINE_SECRETS_FILE: secrets,
      EXECUTION_ENGINE_API_KEYS: callers.map(({ key, workspaceId }) => `${key}=${workspaceId}`).join(),
    },
    preload: WATCH,
    stepModule: () => STEP_MODULE,
  });
  const sql = createPool(address.href, { max: 4, applicationName: 'fuzz', statementTimeoutMs: 60_000 });
  const close = async () => {
    engine.kill();
    await engine.ended;
    await sql.end();
    await postgres.stop();
    await postgres.remove();
    await rm(folder, { recursive: true, force: true });
  };
  const url = await prepare(engine, callers).catch(async (error) => {
    await close();
    throw error;
  });
  let closing: Promise<void> | null = null;
  return {
    folder,
    url,
    callers,
    sql,
    memory: () => memoryOf(engine.pid!),
    isAlive: () => engine.state === 'ready',
    lastLines: () => engine.lastLines,
    blocks: async () => {
      const lines = (await readFile(watchFile, 'utf8')).split('\n').filter((line) => line !== '');
      return lines.map((line) => JSON.parse(line) as Block);
    },
    close: () => {
      closing ??= close();
      return closing;
    },
  };
}

/** The URL of the engine when it is ready and the templates are published. */
async function prepare(engine: EngineProcess, callers: readonly Caller[]): Promise<string> {
  await engine.settled;
  if (engine.url === null) throw new Error(`The engine did not start:\n${engine.lastLines.join('\n')}`);
  for (const caller of callers) {
    for (const definition of [...TEMPLATES, ...LOADS.map((load) => load.definition)])
      await publish(engine.url, caller, definition);
  }
  return engine.url;
}

async function publish(url: string, { key }: Caller, definition: object): Promise<void> {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${key}` };
  const response = await fetch(`${url}/api/v1/templates`, {
    method: 'POST',
    headers,
    body: JSON.stringify(definition),
  });
  if (!response.ok) throw new Error(`A template was refused: ${await response.text()}`);
}

function memoryOf(pid: number): { engine: number; children: number } {
  const resident = (of: number) => memoryBytes(of)?.resident ?? 0;
  const children = childrenOf(pid).reduce((sum, child) => sum + resident(child), 0);
  return { engine: resident(pid), children };
}
