/**
 * A private PostgreSQL for a machine without one: started with the engine, kept when the engine is
 * killed, adopted by the next engine, shared by all engines on one folder.
 *
 * Not here: the folder of the data and its owner (place.ts), how a data directory is created and a
 * server launched (cluster.ts), how engines share one server (server.ts).
 *
 * No process exit hook is used: a killed engine leaves its server running on purpose. While an engine lives,
 * a server that dies is restarted, on the same port when it is still free.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect, urlOf } from './cluster.ts';
import { choosePlace, findPlace, type Place } from './place.ts';
import { joinServer, leaveServer, type Server } from './server.ts';
import { embeddedSettings } from './settings.ts';

export interface EmbeddedOptions {
  /** Folder for the data directory; created when missing. */
  dataDir: string;
  log: (message: string) => void;
  /** PostgreSQL settings that override the defaults. An adopted server keeps its own. */
  settings?: Record<string, string>;
  /** Preferred port, 54329 by default; another one is used when it is taken. */
  port?: number;
}

export interface EmbeddedPostgres {
  /** Holds the superuser's password: must never be logged. */
  readonly url: string;
  /** The folder in use; it differs from the requested one when that one cannot be used. */
  readonly dataDir: string;
  /** Whether the server was running already. */
  readonly adopted: boolean;
  /** Stops the server unless another client is connected. May be called twice. */
  stop(): Promise<void>;
}

const DEFAULT_PORT = 54_329;
/** Time for a deliberate restart from outside, before the server is started from here. */
const RESTART_GRACE_MS = 3_000;
const POLL_MS = 50;

/** Returns the URL of the running server of a folder, with its password; null: none is running. Changes nothing. */
export async function findEmbeddedPostgres(
  dataDir: string,
  log: EmbeddedOptions['log'],
): Promise<string | null> {
  const place = await findPlace(dataDir, log);
  const state = place === null ? null : await inspect(place);
  return state?.is === 'ready' ? urlOf(place!, state.port) : null;
}

/** Starts or adopts the server of a folder. Throws with advice when neither is possible. */
export async function startEmbeddedPostgres(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const place = await choosePlace(options.dataDir, options.log);
  const supervisor = new Supervisor(place, options);
  const { url, adopted } = await supervisor.start();
  return { url, dataDir: place.folder, adopted, stop: () => supervisor.stop() };
}

/** Keeps this engine's presence on the server, and keeps the server running, until stopped. */
class Supervisor {
  readonly #place: Place;
  readonly #options: EmbeddedOptions;
  #port: number;
  #server: Server | null = null;
  #stopped: Promise<void> | null = null;
  #rejoining: Promise<void> = Promise.resolve();

  constructor(place: Place, options: EmbeddedOptions) {
    this.#place = place;
    this.#options = options;
    this.#port = options.port ?? DEFAULT_PORT;
  }

  async start(): Promise<Server> {
    const server = await joinServer(this.#place, {
      port: this.#port,
      settings: embeddedSettings(this.#options.settings),
      log: this.#options.log,
    });
    this.#port = server.port;
    this.#server = server;
    server.presence.onGone(() => {
      this.#server = null;
      if (this.#stopped === null) this.#rejoining = this.#rejoin();
    });
    return server;
  }

  async #rejoin(): Promise<void> {
    const { log } = this.#options;
    const before = this.#port;
    await this.#waitForReturn();
    while (this.#stopped === null) {
      try {
        const server = await this.start();
        if (server.port !== before)
          log(`The embedded PostgreSQL is on port ${server.port} now: restart the engine`);
        return;
      } catch (error) {
        log(`The embedded PostgreSQL went away and does not come back: ${(error as Error).message}`);
        await sleep(RESTART_GRACE_MS);
      }
    }
  }

  async #waitForReturn(): Promise<void> {
    for (let waited = 0; waited < RESTART_GRACE_MS && this.#stopped === null; waited += POLL_MS) {
      if ((await inspect(this.#place)).is !== 'stopped') return;
      await sleep(POLL_MS);
    }
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#leave();
    return this.#stopped;
  }

  async #leave(): Promise<void> {
    await this.#rejoining;
    if (this.#server !== null) await leaveServer(this.#place, this.#server, this.#options.log);
  }
}
