/**
 * The options of a recovery run with their defaults, and the command that repeats it.
 */
import { InvalidArgumentError, Option } from 'commander';
import { BACKENDS } from '../../db/connection/features.ts';
import { atLeastOne, createCommand, RANDOM_SEED, whole } from '../options.ts';

export const CASES = [
  'kill',
  'kill-after-cut',
  'alone',
  'freeze',
  'partition',
  'db-restart',
  'db-crash',
] as const;
export type Case = (typeof CASES)[number];

export interface RecoveryOptions {
  readonly cases: readonly Case[];
  /** Faults of each case; null: as many as the case has by default. */
  readonly times: number | null;
  readonly engines: number;
  /** Executions that are not final at a time; each is one step. */
  readonly inFlight: number;
  readonly seed: number;
  /** DATABASE_BACKEND of the engines; null: not set. */
  readonly backend: string | null;
  /** Engines reach the database through a PgBouncer in transaction mode alone. */
  readonly pooler: boolean;
  /** Keep data and logs also when every goal is met. */
  readonly keep: boolean;
  /** Where the report is written as JSON; null: nowhere. */
  readonly report: string | null;
}

export const DEFAULT_TIMES: Readonly<Record<Case, number>> = {
  kill: 100,
  'kill-after-cut': 50,
  alone: 20,
  freeze: 3,
  partition: 10,
  'db-restart': 100,
  'db-crash': 100,
};

function cases(text: string): readonly Case[] {
  if (text === 'all') return CASES;
  return text.split(',').map((name) => {
    const found = CASES.find((known) => known === name);
    if (found === undefined) throw new InvalidArgumentError(`all, or a comma list of ${CASES.join(', ')}.`);
    return found;
  });
}

function atLeastTwo(text: string): number {
  const value = whole(text);
  if (value < 2) throw new InvalidArgumentError('at least 2: somebody must be left.');
  return value;
}

/** Ends the process with the error. */
export function parseRecoveryOptions(argv: readonly string[]): RecoveryOptions {
  const command = createCommand('recovery')
    .description('How long steps stand still after a fault, with the default settings of the engine.')
    .option('--case <list>', `all, or a comma list of ${CASES.join(', ')}`, cases, CASES)
    .option('--times <n>', 'faults of each case (default: by the case)', atLeastOne, null)
    .option('--engines <n>', 'engine processes; the case "alone" has one', atLeastTwo, 6)
    .option('--in-flight <n>', 'steps that run at a time', atLeastOne, 24)
    .option('--seed <n>', 'everything that is random follows from it', whole, RANDOM_SEED)
    .addOption(new Option('--backend <name>', 'as in DATABASE_BACKEND').choices(BACKENDS).default(null))
    .option('--pooler', 'a PgBouncer in transaction mode is the only way to the database', false)
    .option('--keep', 'keep data and logs', false)
    .option('--report <file>', 'write the report there as JSON', (path) => path, null)
    .parse(argv, { from: 'user' });
  const { case: chosen, ...others } = command.opts();
  if (others.pooler === true && chosen.includes('partition'))
    command.error('error: the engine that is cut off has no pooler: leave "partition" out of --case.');
  return { ...others, cases: chosen } as RecoveryOptions;
}

/** The command that repeats the run. */
export function recoveryCommandOf(options: RecoveryOptions): string {
  const words = [`--case ${options.cases.join(',')}`];
  if (options.times !== null) words.push(`--times ${options.times}`);
  words.push(`--engines ${options.engines} --in-flight ${options.inFlight} --seed ${options.seed}`);
  if (options.backend !== null) words.push(`--backend ${options.backend}`);
  if (options.pooler) words.push('--pooler');
  return `npm run recovery -- ${words.join(' ')}`;
}
