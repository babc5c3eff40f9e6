/**
 * A PostgreSQL of the harness's own: started, killed and crashed at will, and gone with its data at the end.
 *
 * Not here: its use. The port may change with a restart; read it before each connection.
 */
import { chmod, mkdir, rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect, isAlive, servesCluster } from '../../embedded/cluster.ts';
import { choosePlace, type Place } from '../../embedded/place.ts';
import { joinServer } from '../../embedded/server.ts';
import { embeddedSettings } from '../../embedded/settings.ts';

const POLL_MS = 20;

export class ChaosPostgres {
  readonly #place: Place;
  readonly #settings: Record<string, string>;
  #url = '';
  #port = 0;
  #stopped = false;

  private constructor(place: Place, settings: Record<string, string>) {
    this.#place = place;
    this.#settings = embeddedSettings(settings);
  }

  /** Makes a data directory below the folder and starts a server on it. */
  static async start(folder: string, settings: Record<string, string>): Promise<ChaosPostgres> {
    await mkdir(folder, { recursive: true });
    await chmod(folder, 0o755);
    const place = await choosePlace(folder, () => {});
    const postgres = new ChaosPostgres(place, settings);
    await postgres.start();
    return postgres;
  }

  /** Of the database `postgres`, with the superuser's password. */
  get url(): string {
    return this.#url;
  }

  get port(): number {
    return this.#port;
  }

  get dataDir(): string {
    return this.#place.cluster;
  }

  get logFile(): string {
    return this.#place.log;
  }

  /** Resolves when it accepts connections; at once after `stop`. */
  async start(): Promise<void> {
    if (this.#stopped) return;
    const options = { port: this.#port, settings: this.#settings, log: () => {} };
    const { url, port, presence } = await joinServer(this.#place, options);
    this.#url = url;
    this.#port = port;
    await presence.leave();
  }

  /** The immediate shutdown: no checkpoint, the next start recovers. */
  async crash(): Promise<void> {
    await this.#end('SIGQUIT');
  }

  /** kill -9 of the postmaster alone: its children find out by themselves. */
  async killPostmaster(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** Ends the server properly and for good. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#end('SIGINT');
  }

  async remove(): Promise<void> {
    await rm(this.#place.folder, { recursive: true, force: true });
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const state = await inspect(this.#place);
    if (state.is !== 'ready' && state.is !== 'starting') return;
    process.kill(state.pid, signal);
    while (isAlive(state.pid) && (await servesCluster(this.#place, state.pid))) await sleep(POLL_MS);
  }
}
