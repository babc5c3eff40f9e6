/**
 * The set-up of an integration test: databases, engines and whatever else it needs, made before the tests of a file,
 * or before each of them, and removed after.
 *
 * At the end the doctor is asked about every database, while the engines still run. Then all that was made is removed,
 * the last first. The same happens, without the doctor, when the set-up fails half way.
 */
import { afterAll, afterEach, beforeAll, beforeEach } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { TestDatabaseOptions } from './database/database.ts';
import {
  type EngineDatabase,
  type EngineProcess,
  engineDatabase,
  startEngineProcess,
  startTestEngine,
  type TestEngine,
  type TestEngineOptions,
} from './engine.ts';
import { assertInvariants, type InvariantOptions } from './invariants.ts';

/** As that of tests. */
const TIME_LIMIT_MS = 300_000;

export interface FixtureOptions extends InvariantOptions {
  /** The reason why the doctor is not asked: tests/tidy.test.ts lists the files that have one. */
  readonly withoutDoctor?: string;
  /** Runs first at the end: what only looks at the engines, or lets go of what they wait for. */
  readonly atEnd?: () => unknown;
}

type SetUp = (fixture: Fixture) => Promise<unknown>;
/** Without the URL an engine gets the first database. */
type EngineOptions = Partial<TestEngineOptions>;

/** What `setUp` makes is there for all tests of the file or of the `describe`; what a test makes stays as long. */
export function fixtureForAll(setUp: SetUp = async () => {}, options: FixtureOptions = {}): Fixture {
  const fixture = new Fixture(options);
  beforeAll(() => fixture.begin(setUp), TIME_LIMIT_MS);
  afterAll(() => fixture.end(), TIME_LIMIT_MS);
  return fixture;
}

/** What `setUp` and the test make is there for one test. */
export function fixtureForEach(setUp: SetUp = async () => {}, options: FixtureOptions = {}): Fixture {
  const fixture = new Fixture(options);
  beforeEach(() => fixture.begin(setUp), TIME_LIMIT_MS);
  afterEach(() => fixture.end(), TIME_LIMIT_MS);
  return fixture;
}

export class Fixture {
  readonly #options: FixtureOptions;
  #endings: (() => Promise<unknown>)[] = [];
  /** URLs. */
  #databases: string[] = [];
  #examined = new Set<string>();
  #pgbossSchema = 'pgboss';
  #over = new AbortController();

  constructor(options: FixtureOptions = {}) {
    this.#options = options;
  }

  /** It has this version's schema unless the options say otherwise. An empty one gets it from an engine. */
  async database(options: TestDatabaseOptions = {}): Promise<EngineDatabase> {
    const database = await this.use(engineDatabase(options), ({ drop }) => drop());
    this.#databases.push(database.url);
    if (options.migrated !== false) this.#examined.add(database.url);
    return database;
  }

  /** A database that the fixture has not made: engines are started on it, and the doctor is asked about it. */
  adopt(databaseUrl: string): void {
    this.#databases.push(databaseUrl);
  }

  /** An engine in this process. */
  async engine(options: EngineOptions = {}): Promise<TestEngine> {
    const engine = await this.use(startTestEngine(this.#withUrl(options)), ({ stop }) => stop());
    this.#started(options);
    return engine;
  }

  /** An engine in a process of its own, which is killed at the end. */
  async engineProcess(options: EngineOptions = {}): Promise<EngineProcess> {
    const { signal } = this.#over;
    const starting = startEngineProcess({ ...this.#withUrl(options), signal });
    const engine = await this.use(starting, ({ exited }) => exited);
    this.#started(options);
    return engine;
  }

  /** A client of the first database. */
  async client(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: this.#withUrl({}).url });
    await client.connect();
    return this.use(client, () => client.end());
  }

  folder(): Promise<string> {
    return this.use(mkdtemp(join(tmpdir(), 'engine-test-')), (path) => rm(path, { recursive: true }));
  }

  /** Hands on what `making` makes, and removes it at the end. */
  use<T extends AsyncDisposable>(making: T | Promise<T>): Promise<T>;
  use<T>(making: T | Promise<T>, remove: (made: T) => unknown): Promise<T>;
  use<T>(making: T | Promise<T>, remove: (made: T) => unknown = dispose): Promise<T> {
    const made = Promise.resolve(making);
    // Before it is there: something beside it may fail first.
    this.#endings.push(() => made.then(remove, () => {}));
    return made;
  }

  async begin(setUp: SetUp): Promise<void> {
    try {
      await setUp(this);
    } catch (error) {
      await this.#removeAll();
      throw error;
    }
  }

  async end(): Promise<void> {
    const failures: unknown[] = [];
    const { withoutDoctor, atEnd, ...invariants } = this.#options;
    try {
      await atEnd?.();
      const examined = withoutDoctor === undefined ? this.#examined : [];
      for (const url of examined)
        await assertInvariants(url, { pgbossSchema: this.#pgbossSchema, ...invariants });
    } catch (error) {
      failures.push(error);
    }
    failures.push(...(await this.#removeAll()));
    if (failures.length > 0) throw failures[0];
  }

  #withUrl(options: EngineOptions): TestEngineOptions {
    const url = options.url ?? this.#databases[0];
    if (url === undefined) throw new Error('There is no database yet: await fixture.database() first');
    return { ...options, url };
  }

  /** An engine has made the schema of databases that had none. */
  #started({ config }: EngineOptions): void {
    for (const url of this.#databases) this.#examined.add(url);
    this.#pgbossSchema = config?.EXECUTION_ENGINE_PGBOSS_SCHEMA ?? this.#pgbossSchema;
  }

  /** Resolves to what failed. */
  async #removeAll(): Promise<unknown[]> {
    const endings = this.#endings;
    this.#over.abort();
    this.#over = new AbortController();
    this.#endings = [];
    this.#databases = [];
    this.#examined.clear();
    this.#pgbossSchema = 'pgboss';
    const failures: unknown[] = [];
    for (const ending of endings.toReversed()) {
      await ending().catch((error: unknown) => failures.push(error));
    }
    return failures;
  }
}

function dispose(made: unknown): unknown {
  return (made as AsyncDisposable)[Symbol.asyncDispose]();
}
