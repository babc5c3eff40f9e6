/**
 * One engine process of the harness, from its start to its end: `bun execution-engine.ts` on the faulty wire.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, type WriteStream } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface EngineSetup {
  /** Holds step modules and logs. */
  readonly folder: string;
  readonly databaseUrl: string;
  /** Its environment, besides the addresses of the database and of its API. */
  readonly settings: Readonly<Record<string, string>>;
  /** The text of the module with its step types. @param engine its name */
  stepModule(engine: string): string;
  /** A module that is loaded before the engine. */
  readonly preload?: string;
  /** The command and arguments that it is started within: `ip netns exec <name>`. Default: none. */
  readonly within?: readonly string[];
}

export type EngineState = 'starting' | 'ready' | 'paused' | 'ended';

const ENTRY = fileURLToPath(new URL('../../execution-engine.ts', import.meta.url));
const LAST_LINES = 200;

export class EngineProcess {
  /** `<slot>.<number of the start>`, as effects name it. */
  readonly name: string;
  state: EngineState = 'starting';
  /** Of the HTTP API; null until it is ready. */
  url: string | null = null;
  /** Resolves when the process has ended. */
  readonly ended: Promise<void>;
  /** Resolves when it is ready or has ended. */
  readonly settled: Promise<void>;
  readonly lastLines: string[] = [];
  /** When it was started, of performance.now(). */
  readonly spawnedAt = performance.now();
  readonly #child: ChildProcess;
  readonly #log: WriteStream;
  #killed = false;

  private constructor(name: string, setup: EngineSetup, module: string) {
    this.name = name;
    this.#log = createWriteStream(join(setup.folder, `engine-${name}.log`));
    const [command, ...args] = [
      ...(setup.within ?? []),
      process.execPath,
      ...(setup.preload === undefined ? [] : ['--preload', setup.preload]),
      ENTRY,
    ];
    this.#child = spawn(command!, args, {
      cwd: setup.folder,
      env: {
        PATH: process.env.PATH ?? '',
        DATABASE_URL: setup.databaseUrl,
        EXECUTION_ENGINE_HOST: '127.0.0.1',
        EXECUTION_ENGINE_PORT: '0',
        EXECUTION_ENGINE_STEPS: module,
        ...setup.settings,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const { promise: settled, resolve: settle } = Promise.withResolvers<void>();
    this.settled = settled;
    for (const stream of [this.#child.stdout!, this.#child.stderr!])
      createInterface({ input: stream }).on('line', (line) => this.#read(line, settle));
    this.ended = new Promise((resolve) => {
      // Not 'close': a child of its own may hold its output open for a moment.
      this.#child.once('exit', () => {
        this.state = 'ended';
        this.#log.end();
        settle();
        resolve();
      });
    });
  }

  static async start(name: string, setup: EngineSetup): Promise<EngineProcess> {
    const module = join(setup.folder, `steps-${name}.ts`);
    await writeFile(module, setup.stepModule(name));
    return new EngineProcess(name, setup, module);
  }

  /** Of the process; undefined when it could not be started. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Whether it ended without being killed. */
  get gaveUp(): boolean {
    return this.state === 'ended' && !this.#killed;
  }

  kill(): void {
    this.#killed = true;
    this.#child.kill('SIGKILL');
  }

  pause(): void {
    if (this.state !== 'ready') return;
    this.state = 'paused';
    this.#child.kill('SIGSTOP');
  }

  resume(): void {
    if (this.state !== 'paused') return;
    this.state = 'ready';
    this.#child.kill('SIGCONT');
  }

  #read(line: string, settle: () => void): void {
    this.#log.write(`${line}\n`);
    this.lastLines.push(line);
    if (this.lastLines.length > LAST_LINES) this.lastLines.shift();
    if (this.url !== null || !line.includes('Execution Engine is ready')) return;
    this.url = (JSON.parse(line) as { url: string }).url;
    if (this.state === 'starting') this.state = 'ready';
    settle();
  }
}
