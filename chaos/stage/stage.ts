/**
 * The stage of a run: two servers, the wire between, the engines, the witness; and the removal of all of it.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createPool, type Pool } from '../../db/connection/client.ts';
import { migrateEngine } from '../../db/migrate/migrate-engine.ts';
import { chance } from '../chance.ts';
import type { Options } from '../options.ts';
import { chaosStepModule } from '../step-types.ts';
import { TRANSITION_LOG } from '../transitions.ts';
import { openWitness, WITNESS_TABLES } from '../witness.ts';
import { serveEngines } from '../workers/engines.ts';
import { Workers } from '../workers/workers.ts';
import { Fleet } from './fleet.ts';
import { ChaosPostgres } from './postgres.ts';
import { PostgresProxy } from './proxy.ts';

export interface Stage {
  /** Holds everything; kept when a check failed. */
  readonly folder: string;
  readonly postgres: ChaosPostgres;
  readonly proxy: PostgresProxy;
  readonly fleet: Fleet;
  readonly workers: Workers;
  /** On the engines' database, past the faulty wire. */
  readonly admin: Pool;
  readonly adminUrl: string;
  readonly witness: Pool;
  /** Ends every process and connection; with `remove` the data goes too. May be called twice. */
  close(remove: boolean): Promise<void>;
}

const DATABASE = 'chaos';
const WITNESS_SETTINGS = {
  fsync: 'off',
  full_page_writes: 'off',
  synchronous_commit: 'off',
  shared_buffers: '64MB',
};
const MAX_INPUT_BYTES = 10 * 1_048_576;

export async function setStage(options: Options): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), 'execution-engine-chaos-'));
  await chmod(folder, 0o755);
  const [postgres, witnessServer] = await Promise.all([
    ChaosPostgres.start(join(folder, 'engine'), {
      max_connections: '400',
      fsync: options.fsync,
      // A killed backend must not end its server.
      restart_after_crash: 'on',
    }),
    ChaosPostgres.start(join(folder, 'witness'), WITNESS_SETTINGS),
  ]);
  const port = () => postgres.port;
  const proxy = await PostgresProxy.listen(port, chance(options.seed, 'wire'));
  const quiet = await PostgresProxy.listen(port, chance(options.seed, 'quiet'));
  const engineUrl = (at: PostgresProxy) => withPort(postgres.url, at.port, DATABASE);
  const witnessUrl = witnessServer.url;
  const witness = openWitness(witnessUrl);
  const admin = createPool(engineUrl(quiet), {
    max: 4,
    applicationName: 'chaos/admin',
    statementTimeoutMs: 0,
  });
  const fleet = new Fleet(
    {
      folder,
      databaseUrl: engineUrl(proxy),
      settings: {
        EXECUTION_ENGINE_CONCURRENCY: String(options.concurrency),
        EXECUTION_ENGINE_STOP_GRACE: '2s',
        DATABASE_BACKEND: options.backend,
      },
      stepModule: (engine) => chaosStepModule(witnessUrl, engine),
    },
    options.engines,
  );
  const address = serveEngines(fleet, chance(options.seed, 'address'));
  const workers = new Workers({ folder, engineUrl: address.url, witnessUrl }, options.workers);
  const close = async (remove: boolean) => {
    await workers.stop();
    await fleet.stop();
    await address.close();
    await Promise.all([admin.end(), witness.end()]);
    await Promise.all([proxy.close(), quiet.close()]);
    await Promise.all([postgres.stop(), witnessServer.stop()]);
    if (!remove) return;
    await Promise.all([postgres.remove(), witnessServer.remove()]);
    await rm(folder, { recursive: true, force: true });
  };
  let closed: Promise<void> | null = null;
  const stage: Stage = {
    folder,
    postgres,
    proxy,
    fleet,
    workers,
    admin,
    adminUrl: engineUrl(quiet),
    witness,
    close: (remove) => {
      closed ??= close(remove);
      return closed;
    },
  };
  try {
    await makeDatabase(postgres, stage);
  } catch (error) {
    await stage.close(true);
    throw error;
  }
  return stage;
}

async function makeDatabase(postgres: ChaosPostgres, { admin, adminUrl, witness }: Stage): Promise<void> {
  await makeEngineDatabase(postgres, adminUrl);
  await admin.query(TRANSITION_LOG);
  await witness.query(WITNESS_TABLES);
}

/** Makes the database that the URL names on this server, with the engine's tables and pg-boss's. */
export async function makeEngineDatabase(postgres: ChaosPostgres, url: string): Promise<void> {
  const server = createPool(postgres.url, { max: 1, applicationName: 'chaos/setup', statementTimeoutMs: 0 });
  const name = new URL(url).pathname.slice(1);
  await server.query(`create database ${name}`).finally(() => server.end());
  await migrateEngine(url, { pgbossSchema: 'pgboss', maxInputBytes: MAX_INPUT_BYTES });
}

function withPort(url: string, port: number, database: string): string {
  const changed = new URL(url);
  changed.port = String(port);
  changed.pathname = `/${database}`;
  return changed.href;
}
