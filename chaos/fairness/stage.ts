/**
 * The servers of a fairness run: a durable PostgreSQL, and a peer that is called and does not answer; for each flood an
 * engine with its default settings, with a database and two workspaces.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createEngineClient, type EngineClient } from '../../client/engine-client.ts';
import { createPool, type Pool } from '../../db/connection/client.ts';
import { EngineProcess } from '../stage/engine-process.ts';
import { ChaosPostgres } from '../stage/postgres.ts';
import { makeEngineDatabase } from '../stage/stage.ts';

export interface FloodedEngine {
  /** Of its database. */
  readonly admin: Pool;
  /** Of the workspace that floods the engine. */
  readonly busy: EngineClient;
  /** Of the one that is measured. */
  readonly other: EngineClient;
  close(): Promise<void>;
}

export interface FairnessStage {
  /** Of the peer that does not answer. */
  readonly silentUrl: string;
  open(name: string): Promise<FloodedEngine>;
  /** Ends every process and removes the data. May be called twice. */
  close(): Promise<void>;
}

type Undo = (() => unknown)[];

const BUSY = { key: 'key-of-the-busy-workspace', id: 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa' };
const OTHER = { key: 'key-of-the-other-workspace', id: 'bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb' };
/** For as long as a flood may last. */
const HTTP_TIMEOUT = '10m';

export async function setFairnessStage(): Promise<FairnessStage> {
  const undo: Undo = [];
  const close = () => undoAll(undo);
  try {
    const folder = await mkdtemp(join(tmpdir(), 'execution-engine-fairness-'));
    undo.push(() => rm(folder, { recursive: true, force: true }));
    await chmod(folder, 0o755);
    const postgres = await ChaosPostgres.start(join(folder, 'postgres'), {});
    undo.push(
      () => postgres.remove(),
      () => postgres.stop(),
    );
    const peer = createServer(() => {}).listen(0, '127.0.0.1');
    await new Promise((resolve) => peer.once('listening', resolve));
    undo.push(
      () => peer.close(),
      () => peer.closeAllConnections(),
    );
    return {
      silentUrl: `http://127.0.0.1:${(peer.address() as AddressInfo).port}/`,
      open: async (name) => {
        const engine = await openEngine(postgres, folder, name);
        undo.push(engine.close);
        return engine;
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function undoAll(undo: Undo): Promise<void> {
  for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
}

async function openEngine(postgres: ChaosPostgres, folder: string, name: string): Promise<FloodedEngine> {
  const undo: Undo = [];
  const close = () => undoAll(undo);
  try {
    const at = new URL(postgres.url);
    at.pathname = `/fairness_${name}`;
    const databaseUrl = at.href;
    await makeEngineDatabase(postgres, databaseUrl);
    const admin = createPool(databaseUrl, { max: 2, applicationName: 'fairness/admin' });
    undo.push(() => admin.end());
    const engine = await EngineProcess.start(name, {
      folder,
      databaseUrl,
      settings: {
        EXECUTION_ENGINE_API_KEYS: [BUSY, OTHER].map(({ key, id }) => `${key}=${id}:editor`).join(','),
        EXECUTION_ENGINE_HTTP_ALLOW: '127.0.0.1',
        EXECUTION_ENGINE_HTTP_TIMEOUT: HTTP_TIMEOUT,
      },
      stepModule: () => 'export default [];\n',
    });
    undo.push(async () => {
      engine.kill();
      await engine.ended;
    });
    await engine.settled;
    if (engine.url === null) throw new Error(`The engine did not start:\n${engine.lastLines.join('\n')}`);
    const clientOf = ({ key }: typeof BUSY) => createEngineClient({ url: engine.url!, token: key });
    return { admin, busy: clientOf(BUSY), other: clientOf(OTHER), close };
  } catch (error) {
    await close();
    throw error;
  }
}
