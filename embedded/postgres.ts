/**
 * A PostgreSQL of one's own for a machine that has none: started with the engine, kept when the engine is
 * killed, adopted by the next engine, shared by all engines on one folder.
 *
 * Not here: where the data lies and who owns it (embedded-place.ts), how a data directory is made and a
 * server launched (embedded-cluster.ts), how engines share one server (embedded-server.ts).
 *
 * No process exit hook is used: a killed engine leaves its server running on purpose. While an engine lives,
 * a server that dies is brought back, on the same port when it is still free.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from './cluster.ts';
import { choosePlace, type Place } from './place.ts';
import { joinServer, leaveServer, type Server } from './server.ts';
import { embeddedSettings } from './settings.ts';

export interface EmbeddedOptions {
  /** Folder for the data directory; made when missing. */
  dataDir: string;
  log: (message: string) => void;
  /** PostgreSQL settings that replace the usual ones. An adopted server keeps its own. */
  settings?: Record<string, string>;
  /** Wanted port, 54329 by default; another one is taken when it is in use. */
  port?: number;
}

export interface EmbeddedPostgres {
  /** With the superuser's password: never to be logged. */
  readonly url: string;
  /** The folder that is really used; it differs from the one asked for when that one cannot be used. */
  readonly dataDir: string;
  /** Whether the server was running already. */
  readonly adopted: boolean;
  /** Stops the server unless somebody else is connected. May be called twice. */
  stop(): Promise<void>;
}

const DEFAULT_PORT = 54_329;
/** Whoever restarts the server on purpose gets this long before it is started from here. */
const RESTART_GRACE_MS = 3_000;
const POLL_MS = 50;

/** Starts or adopts the server of a folder. Throws, saying what to do, when there can be none. */
export async function startEmbeddedPostgres(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const place = await choosePlace(options.dataDir, options.log);
  const supervisor = new Supervisor(place, options);
  const { url, adopted } = await supervisor.start();
  return { url, dataDir: place.folder, adopted, stop: () => supervisor.stop() };
}

/** Keeps this engine's presence on the server, and the server alive, until stopped. */
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
