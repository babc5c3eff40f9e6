/**
 * The stage of one case of a recovery run: a durable PostgreSQL, engines with their default settings, connected
 * directly or through a pooler, and the witness.
 *
 * The case "partition" puts the engine at the first place behind a wire that can be cut.
 */
import { appendFile, chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createPool, type Pool } from '../../db/connection/client.ts';
import { PGBOUNCER_VERSION, startPgBouncer } from '../../tests/support/faults/pgbouncer.ts';
import { chance } from '../chance.ts';
import { Fleet } from '../stage/fleet.ts';
import { NetworkNamespace } from '../stage/network-namespace.ts';
import { ChaosPostgres } from '../stage/postgres.ts';
import { PostgresProxy } from '../stage/proxy.ts';
import { makeEngineDatabase } from '../stage/stage.ts';
import type { Case, RecoveryOptions } from './options.ts';
import { recoveryStepModule } from './step-types.ts';
import { RecoveryWitness } from './witness.ts';

/** The wire of the engine at the first place. */
export interface Wire {
  /** Null: a network namespace; otherwise why there is none, and what is used instead. */
  readonly instead: string | null;
  readonly isCut: boolean;
  cut(): Promise<void>;
  heal(): Promise<void>;
}

export interface RecoveryStage {
  readonly folder: string;
  readonly postgres: ChaosPostgres;
  readonly fleet: Fleet;
  readonly witness: RecoveryWitness;
  readonly admin: Pool;
  readonly adminUrl: string;
  /** Of the case "partition" alone. */
  readonly wire: Wire | null;
  /** Ends every process and connection; with `remove` the data goes too. May be called twice. */
  close(remove: boolean): Promise<void>;
}

const DATABASE = 'recovery';
/** Of the server, for all engines together. */
const POOLER_SESSIONS = 40;
/** The key of every call to an engine; engines on loopback do not require it. */
export const RECOVERY_TOKEN = 'recovery-0123456789';

/** The steps to undo, the last one first. */
type Undo = ((remove: boolean) => Promise<unknown>)[];

export async function setRecoveryStage(name: Case, options: RecoveryOptions): Promise<RecoveryStage> {
  const undo: Undo = [];
  let closed: Promise<void> | null = null;
  const close = (remove: boolean) => {
    closed ??= undoAll(undo, remove);
    return closed;
  };
  try {
    return { ...(await build(name, options, undo)), close };
  } catch (error) {
    await close(true);
    throw error;
  }
}

async function undoAll(undo: Undo, remove: boolean): Promise<void> {
  for (const step of undo.toReversed()) await step(remove);
}

async function build(
  name: Case,
  options: RecoveryOptions,
  undo: Undo,
): Promise<Omit<RecoveryStage, 'close'>> {
  const folder = await mkdtemp(join(tmpdir(), 'execution-engine-recovery-'));
  undo.push((remove) => (remove ? rm(folder, { recursive: true, force: true }) : Promise.resolve()));
  await chmod(folder, 0o755);
  const network = name === 'partition' ? await makeNetwork(undo) : null;
  const namespace = network instanceof NetworkNamespace ? network : null;
  const postgres = await startPostgres(folder, namespace, undo);
  const adminUrl = urlOf(postgres, '127.0.0.1', postgres.port);
  await makeEngineDatabase(postgres, adminUrl);
  const admin = createPool(adminUrl, { max: 2, applicationName: 'recovery/admin' });
  undo.push(() => admin.end());
  const witness = await RecoveryWitness.listen(join(folder, 'witness.sock'));
  undo.push(() => witness.close());
  const wire = await makeWire(network, postgres, options, undo);
  const setup = {
    folder,
    databaseUrl: options.pooler ? await poolerBefore(adminUrl, undo) : adminUrl,
    settings: options.backend === null ? {} : { DATABASE_BACKEND: options.backend },
    stepModule: (engine: string) => recoveryStepModule(witness.socket, engine),
  };
  const wired = {
    ...setup,
    databaseUrl: wire?.databaseUrl ?? setup.databaseUrl,
    settings: { ...setup.settings, ...addressOf(namespace) },
    within: namespace?.within ?? [],
  };
  const fleet = new Fleet((place) => (place === 0 ? wired : setup), name === 'alone' ? 1 : options.engines);
  undo.push(() => fleet.stop());
  return { folder, postgres, fleet, witness, admin, adminUrl, wire };
}

/** The database through a PgBouncer in transaction mode. */
async function poolerBefore(url: string, undo: Undo): Promise<string> {
  if (PGBOUNCER_VERSION === null) throw new Error('PgBouncer is not installed (Debian: pgbouncer)');
  const pooler = await startPgBouncer(url, POOLER_SESSIONS);
  undo.push(() => pooler.close());
  return pooler.url;
}

/** The address of an engine in a network namespace; an engine outside loopback must have keys. */
function addressOf(namespace: NetworkNamespace | null): Record<string, string> {
  if (namespace === null) return {};
  return {
    EXECUTION_ENGINE_HOST: namespace.address,
    EXECUTION_ENGINE_API_KEYS: `${RECOVERY_TOKEN}=admin`,
  };
}

/** The namespace, or why there is none. */
async function makeNetwork(undo: Undo): Promise<NetworkNamespace | string> {
  try {
    const namespace = await NetworkNamespace.create();
    undo.push(() => namespace.remove());
    return namespace;
  } catch (error) {
    return (error as Error).message.trim();
  }
}

async function startPostgres(
  folder: string,
  namespace: NetworkNamespace | null,
  undo: Undo,
): Promise<ChaosPostgres> {
  const listen_addresses = namespace === null ? '127.0.0.1' : `127.0.0.1,${namespace.hostAddress}`;
  const postgres = await ChaosPostgres.start(join(folder, 'engine'), { listen_addresses });
  undo.push(async (remove) => {
    await postgres.stop();
    if (remove) await postgres.remove();
  });
  if (namespace !== null) await admit(postgres, namespace.address);
  return postgres;
}

/** Lets a client at this address in. */
async function admit(postgres: ChaosPostgres, address: string): Promise<void> {
  await appendFile(join(postgres.dataDir, 'pg_hba.conf'), `\nhost all all ${address}/32 scram-sha-256\n`);
  const server = createPool(postgres.url, { max: 1, applicationName: 'recovery/setup' });
  await server.query('select pg_reload_conf()').finally(() => server.end());
}

async function makeWire(
  network: NetworkNamespace | string | null,
  postgres: ChaosPostgres,
  { seed }: RecoveryOptions,
  undo: Undo,
): Promise<(Wire & { readonly databaseUrl: string }) | null> {
  if (network === null) return null;
  if (typeof network !== 'string')
    return {
      instead: null,
      databaseUrl: urlOf(postgres, network.hostAddress, postgres.port),
      get isCut() {
        return network.isCut;
      },
      cut: () => network.cut(),
      heal: () => network.heal(),
    };
  const proxy = await PostgresProxy.listen(() => postgres.port, chance(seed, 'wire'));
  undo.push(() => proxy.close());
  let heal: (() => void) | null = null;
  return {
    instead: `a proxy that falls silent, for want of a network namespace (${network})`,
    databaseUrl: urlOf(postgres, '127.0.0.1', proxy.port),
    get isCut() {
      return heal !== null;
    },
    cut: async () => {
      heal = proxy.silenceAll();
    },
    heal: async () => {
      heal?.();
      heal = null;
    },
  };
}

function urlOf(postgres: ChaosPostgres, host: string, port: number): string {
  const url = new URL(postgres.url);
  url.hostname = host;
  url.port = String(port);
  url.pathname = `/${DATABASE}`;
  return url.href;
}
