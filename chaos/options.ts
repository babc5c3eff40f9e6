/**
 * The options of a run with their defaults, and the command that repeats it.
 *
 * Invariant: `commandOf` names every option, so that a printed command means the same after a default has changed.
 */
import { Command, InvalidArgumentError, Option } from 'commander';
import { BACKENDS, type Backend } from '../db/connection/features.ts';

export const FAULTS = ['kill', 'pause', 'db-kill', 'db-restart', 'drop', 'eat', 'worker'] as const;
export type Fault = (typeof FAULTS)[number];

/** Seconds, from and to. */
export type Range = readonly [from: number, to: number];

export interface Options {
  readonly executions: number;
  readonly engines: number;
  readonly seed: number;
  /** Empty: a run in peace. */
  readonly faults: readonly Fault[];
  readonly templates: number;
  readonly maxSteps: number;
  /** Executions that are not final at a time. */
  readonly inFlight: number;
  /** Steps that an engine runs at a time. */
  readonly concurrency: number;
  readonly killEvery: Range;
  readonly pauseEvery: Range;
  readonly pauseFor: Range;
  readonly dbEvery: Range;
  readonly dropEvery: Range;
  /** Processes that do the tasks. */
  readonly workers: number;
  readonly workerEvery: Range;
  /** Share of commits whose answer is eaten. */
  readonly eat: number;
  /** Share of commits that never reach the database. */
  readonly cut: number;
  /** Seconds that the starts are spread over. */
  readonly atLeast: number;
  /** Seconds until the faults end, even if starts are left by then. */
  readonly atMost: number;
  /** Seconds in which everything must be final once the faults have ended. */
  readonly calm: number;
  readonly fsync: 'on' | 'off';
  /** DATABASE_BACKEND of the engines; the database is always PostgreSQL. */
  readonly backend: Backend;
  /** Keep the folder of the run also when it is green. */
  readonly keep: boolean;
  /** Where the report is written as JSON; null: nowhere. */
  readonly report: string | null;
}

/** For a run without a given seed. */
export const RANDOM_SEED = Math.floor(Math.random() * 1_000_000_000);

export function whole(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
    throw new InvalidArgumentError('not a whole number.');
  return value;
}

export function atLeastOne(text: string): number {
  const value = whole(text);
  if (value === 0) throw new InvalidArgumentError('at least 1.');
  return value;
}

function range(text: string): Range {
  const match = /^(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)$/.exec(text);
  const [from, to] = [Number(match?.[1]), Number(match?.[2])];
  if (!(from <= to)) throw new InvalidArgumentError('seconds as from-to, such as 0.5-2.');
  return [from, to];
}

function share(text: string): number {
  const value = Number(text);
  if (!(value >= 0 && value <= 1)) throw new InvalidArgumentError('a share from 0 to 1.');
  return value;
}

function faults(text: string): readonly Fault[] {
  if (text === 'all') return FAULTS;
  if (text === 'none') return [];
  return text.split(',').map((name) => {
    const fault = FAULTS.find((known) => known === name);
    if (fault === undefined)
      throw new InvalidArgumentError(`all, none, or a comma list of ${FAULTS.join(', ')}.`);
    return fault;
  });
}

/** A command that ends with 2 when it is not understood; 1 is for the findings of a run. */
export function createCommand(name: string): Command {
  return new Command(name).exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2));
}

/** Ends the process with the error. */
export function parseOptions(argv: readonly string[]): Options {
  const command = createCommand('chaos')
    .description('Random executions on several engines while processes, database and connections fail.')
    .option('--executions <n>', 'executions to start', atLeastOne, 2_000)
    .option('--engines <n>', 'engine processes', atLeastOne, 3)
    .option('--seed <n>', 'everything that is random follows from it', whole, RANDOM_SEED)
    .option('--faults <list>', `all, none, or a comma list of ${FAULTS.join(', ')}`, faults, FAULTS)
    .option('--templates <n>', 'definitions to draw', atLeastOne, 100)
    .option('--max-steps <n>', 'steps of the largest definition', atLeastOne, 60)
    .option('--in-flight <n>', 'executions that are not final at a time', atLeastOne, 300)
    .option('--concurrency <n>', 'steps an engine runs at a time', atLeastOne, 50)
    .option('--kill-every <s-s>', 'seconds between two kills of an engine', range, [0.5, 2])
    .option('--pause-every <s-s>', 'seconds between two pauses of an engine', range, [5, 15])
    .option('--pause-for <s-s>', 'seconds an engine is paused', range, [1, 10])
    .option('--db-every <s-s>', 'seconds between two faults of the database', range, [15, 30])
    .option('--drop-every <s-s>', 'seconds between two faults of connections', range, [0.5, 2])
    .option('--workers <n>', 'worker processes', atLeastOne, 2)
    .option('--worker-every <s-s>', 'seconds between two kills of a worker', range, [2, 6])
    .option('--eat <share>', 'share of commits whose answer is eaten', share, 0.02)
    .option('--cut <share>', 'share of commits that never arrive', share, 0.01)
    .option('--at-least <s>', 'seconds that the starts are spread over', whole, 60)
    .option('--at-most <s>', 'seconds until the faults end in any case', atLeastOne, 14_400)
    .option('--calm <s>', 'seconds in which all must be final afterwards', atLeastOne, 60)
    .addOption(new Option('--fsync <on|off>', 'of the database').choices(['on', 'off']).default('on'))
    .addOption(new Option('--backend <name>', 'as in DATABASE_BACKEND').choices(BACKENDS).default('postgres'))
    .option('--keep', 'keep the folder of the run', false)
    .option('--report <file>', 'write the report there as JSON', (path) => path, null)
    .parse(argv, { from: 'user' });
  return command.opts<Options>();
}

/** The command that repeats the run. */
export function commandOf(options: Options): string {
  const span = ([from, to]: Range) => `${from}-${to}`;
  const words = [
    `--executions ${options.executions} --engines ${options.engines} --seed ${options.seed}`,
    `--faults ${options.faults.length === 0 ? 'none' : options.faults.join(',')}`,
    `--templates ${options.templates} --max-steps ${options.maxSteps}`,
    `--in-flight ${options.inFlight} --concurrency ${options.concurrency}`,
    `--kill-every ${span(options.killEvery)} --pause-every ${span(options.pauseEvery)}`,
    `--pause-for ${span(options.pauseFor)} --db-every ${span(options.dbEvery)}`,
    `--drop-every ${span(options.dropEvery)} --workers ${options.workers} --worker-every ${span(options.workerEvery)} --eat ${options.eat} --cut ${options.cut}`,
    `--at-least ${options.atLeast} --at-most ${options.atMost} --calm ${options.calm} --fsync ${options.fsync} --backend ${options.backend}`,
  ];
  return `npm run chaos -- ${words.join(' ')}`;
}
