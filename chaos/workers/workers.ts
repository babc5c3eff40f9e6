/**
 * The worker processes of a run: a fixed number of places, each with a process that is started again after it was killed.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export interface WorkersSetup {
  /** Holds logs. */
  readonly folder: string;
  readonly engineUrl: string;
  readonly witnessUrl: string;
}

const ENTRY = fileURLToPath(new URL('./worker.ts', import.meta.url));
const RESTART_MS = 300;

export class Workers {
  readonly #setup: WorkersSetup;
  readonly #places: (ChildProcess | null)[];
  #starts = 0;
  #open = true;
  #keeping: Promise<unknown> = Promise.resolve();

  constructor(setup: WorkersSetup, places: number) {
    this.#setup = setup;
    this.#places = Array.from({ length: places }, () => null);
  }

  get starts(): number {
    return this.#starts;
  }

  start(): void {
    this.#keeping = Promise.all(this.#places.map((_, place) => this.#keep(place)));
  }

  /** kill -9 of the worker at a place, in [0, 1). Returns whether there was one. */
  kill(place: number): boolean {
    return this.#places[Math.floor(place * this.#places.length)]?.kill('SIGKILL') ?? false;
  }

  async stop(): Promise<void> {
    this.#open = false;
    for (const child of this.#places) child?.kill('SIGKILL');
    await this.#keeping;
  }

  async #keep(place: number): Promise<void> {
    const { folder, engineUrl, witnessUrl } = this.#setup;
    while (this.#open) {
      this.#starts += 1;
      const name = `worker-${place}.${this.#starts}`;
      const child = spawn(process.execPath, [ENTRY], {
        env: {
          PATH: process.env.PATH ?? '',
          ENGINE_URL: engineUrl,
          WITNESS_URL: witnessUrl,
          WORKER_NAME: name,
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      const log = createWriteStream(join(folder, `${name}.log`));
      child.stdout.pipe(log, { end: false });
      child.stderr.pipe(log, { end: false });
      this.#places[place] = child;
      if (!this.#open) child.kill('SIGKILL');
      await new Promise<void>((resolve) => child.once('exit', () => resolve()));
      log.end();
      this.#places[place] = null;
      if (this.#open) await sleep(RESTART_MS);
    }
  }
}
