/**
 * Joins and leaves the server of one data directory: starts or adopts it, and stops it when no other client is
 * connected.
 *
 * Invariants
 * 1. Every engine that uses the server holds a shared advisory lock on a connection of its own ("presence").
 *   An engine takes the exclusive lock before it stops the server, so an engine that is about to adopt it waits,
 * loses its
 *   connection, and starts the server again.
 * 2. A server is adopted only after it has accepted the password of this data directory and has confirmed
 *   that it serves this data directory.
 */
import { realpath } from 'node:fs/promises';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { isWrongPassword, Presence } from '../db/presence.ts';
import {
  clusterExists,
  initialise,
  inspect,
  isAlive,
  launch,
  removeForeignPidFile,
  servesCluster,
  urlOf,
} from './cluster.ts';
import type { Place } from './place.ts';
import { runAs } from './user.ts';

export interface Server {
  readonly url: string;
  readonly port: number;
  /** True when it was running already, or when another engine started it. */
  readonly adopted: boolean;
  readonly presence: Presence;
}

export interface JoinOptions {
  port: number;
  settings: Readonly<Record<string, string>>;
  log: (message: string) => void;
}

const POLL_MS = 15;
/** A server may recover from a crash for minutes: the interval of log lines about it (a multiple of POLL_MS). */
const PATIENCE_MS = 700 * POLL_MS;
/**
 * Transient failures: another server on the data directory, orphans of a killed one, a port that was taken meanwhile.
 */
const PASSING_FAILURE = /already exists|still in use|could not create any TCP/;
const MAX_PASSING_FAILURES = 100;
const MAX_OTHER_FAILURES = 3;
const SHUTDOWN_MS = 60_000;

/** Starts or adopts the server and holds the presence lock. Throws with PostgreSQL's own message. */
export async function joinServer(place: Place, options: JoinOptions): Promise<Server> {
  const starter = new Starter(place, options);
  for (let waited = 0; ; waited += POLL_MS) {
    if (!(await clusterExists(place))) {
      options.log(`Making a PostgreSQL data directory in ${place.cluster}`);
      await initialise(place, { sync: options.settings.fsync !== 'off' });
    }
    const state = await inspect(place);
    if (state.is === 'ready') {
      const server = await adopt(place, state.port, state.pid !== starter.pid);
      if (server !== null) return server;
    } else if (state.is === 'foreign') {
      options.log(`${place.cluster}/postmaster.pid is stale: process ${state.pid} is not its PostgreSQL`);
      await removeForeignPidFile(place, state.file);
    } else if (state.is === 'stopped') {
      await starter.startUnlessStarting();
    }
    if (waited % PATIENCE_MS === PATIENCE_MS - POLL_MS) {
      options.log(`Waiting for PostgreSQL in ${place.cluster} (see ${place.log})`);
    }
    await sleep(POLL_MS);
  }
}

/** Starts servers until one stays up, with a limit on failures. */
class Starter {
  readonly #place: Place;
  readonly #options: JoinOptions;
  #failures = 0;
  /** Log output of the last server that was started, once it has ended; '' while it runs. */
  #ended: string | null = null;
  pid: number | undefined;

  constructor(place: Place, options: JoinOptions) {
    this.#place = place;
    this.#options = options;
  }

  /** Called while no server is found. Throws when another start would be useless. */
  async startUnlessStarting(): Promise<void> {
    if (this.#ended === '') return;
    if (this.#ended !== null) this.#judge(this.#ended);
    const port = await freePort(this.#failures === 0 ? this.#options.port : 0);
    const { pid, ended } = await launch(this.#place, port, this.#options.settings);
    this.pid = pid;
    this.#ended = '';
    void ended.then((log) => {
      this.#ended = log || 'it ended without a word';
    });
  }

  #judge(log: string): void {
    this.#failures += 1;
    const most = PASSING_FAILURE.test(log) ? MAX_PASSING_FAILURES : MAX_OTHER_FAILURES;
    if (this.#failures < most) return;
    throw new Error(`PostgreSQL does not start in ${this.#place.cluster} (see ${this.#place.log}): ${log}`);
  }
}

/** Returns null when the server goes away meanwhile. Throws when it serves other data. */
async function adopt(place: Place, port: number, adopted: boolean): Promise<Server | null> {
  const url = await urlOf(place, port);
  const presence = new Presence(url);
  try {
    const served = await presence.join();
    if ((await realpath(served)) === (await realpath(place.cluster))) {
      return { url, port, adopted, presence };
    }
  } catch (error) {
    if (isWrongPassword(error)) {
      presence.hangUp();
      throw new Error(
        `The PostgreSQL on port ${port} does not take the password of ${place.cluster}: stop it first`,
      );
    }
  }
  presence.hangUp();
  return null;
}

/** Returns the preferred port when it is free, else any free one. */
function freePort(wanted: number): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const server = createServer();
  server.once('error', (error) => (wanted === 0 ? reject(error) : resolve(freePort(0))));
  server.listen(wanted, '127.0.0.1', () => {
    const { port } = server.address() as { port: number };
    server.close(() => resolve(port));
  });
  return promise;
}

/** Releases the presence and stops the server unless another engine or client is connected to it. */
export async function leaveServer(
  place: Place,
  server: Server,
  log: (message: string) => void,
): Promise<void> {
  try {
    if (await server.presence.becomeAlone()) await stopServer(place, log);
    else log('The embedded PostgreSQL is left running: others are connected to it');
  } catch (error) {
    log(`The embedded PostgreSQL could not be stopped: ${(error as Error).message}`);
  } finally {
    server.presence.hangUp();
  }
}

/**
 * Runs PostgreSQL's fast shutdown: open transactions are rolled back, everything is written. `pg_ctl
 * stop` is unsuitable: it keeps waiting when the next engine has started a server meanwhile.
 */
async function stopServer(place: Place, log: (message: string) => void): Promise<void> {
  const state = await inspect(place);
  if (state.is !== 'ready') return;
  const { pid } = state;
  const ran = await runAs(place.user, place.binaries.pgCtl, ['kill', 'INT', String(pid)]);
  if (ran.code !== 0) throw new Error(ran.stderr.trim());
  for (let waited = 0; isAlive(pid) && (await servesCluster(place, pid)); waited += POLL_MS) {
    if (waited > SHUTDOWN_MS) return log(`The embedded PostgreSQL (process ${pid}) takes its time to stop`);
    await sleep(POLL_MS);
  }
}
