/**
 * The stage of a soak run: a durable PostgreSQL that counts its statements, engines with retention, and a server that
 * their http steps call.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createPool, type Pool } from '../../db/connection/client.ts';
import { Fleet } from '../stage/fleet.ts';
import { ChaosPostgres } from '../stage/postgres.ts';
import { makeEngineDatabase } from '../stage/stage.ts';
import { soakStepModule } from './definitions.ts';
import type { SoakOptions } from './options.ts';

export interface SoakStage {
  readonly folder: string;
  readonly fleet: Fleet;
  readonly admin: Pool;
  readonly adminUrl: string;
  readonly peerUrl: string;
  /** Ends every process and connection; with `remove` the data goes too. May be called twice. */
  close(remove: boolean): Promise<void>;
}

const SETTINGS = { shared_preload_libraries: 'pg_stat_statements', 'pg_stat_statements.track': 'top' };
/** Of the peer's answers: every so many-th is a failure that is tried again. */
const FAILS_EVERY = 50;

export async function setSoakStage({ engines, retentionMinutes }: SoakOptions): Promise<SoakStage> {
  const folder = await mkdtemp(join(tmpdir(), 'execution-engine-soak-'));
  await chmod(folder, 0o755);
  const postgres = await ChaosPostgres.start(join(folder, 'engine'), SETTINGS);
  const url = new URL(postgres.url);
  url.pathname = '/soak';
  const adminUrl = url.href;
  await makeEngineDatabase(postgres, adminUrl);
  const admin = createPool(adminUrl, { max: 3, applicationName: 'soak/admin', statementTimeoutMs: 60_000 });
  await admin.query('create extension pg_stat_statements');
  const peer = await listenAsPeer();
  const settings = {
    EXECUTION_ENGINE_RETENTION: `${retentionMinutes}m`,
    EXECUTION_ENGINE_HTTP_ALLOW: '127.0.0.1',
  };
  const fleet = new Fleet({ folder, databaseUrl: adminUrl, settings, stepModule: soakStepModule }, engines);
  let closed: Promise<void> | null = null;
  const close = async (remove: boolean) => {
    await fleet.stop();
    await admin.end();
    await peer.close();
    await postgres.stop();
    if (!remove) return;
    await postgres.remove();
    await rm(folder, { recursive: true, force: true });
  };
  return {
    folder,
    fleet,
    admin,
    adminUrl,
    peerUrl: peer.url,
    close: (remove) => {
      closed ??= close(remove);
      return closed;
    },
  };
}

async function listenAsPeer(): Promise<{ url: string; close(): Promise<void> }> {
  let calls = 0;
  const server = createServer((request, answer) => {
    request.resume();
    request.on('end', () => {
      calls += 1;
      answer.writeHead(calls % FAILS_EVERY === 0 ? 503 : 200, { 'content-type': 'application/json' });
      answer.end('{"ok":true}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    close: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
