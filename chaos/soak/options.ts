/**
 * The options of a soak run with their defaults, and the command that repeats it.
 */
import { InvalidArgumentError } from 'commander';
import { atLeastOne, createCommand, RANDOM_SEED, whole } from '../options.ts';

export interface SoakOptions {
  readonly minutes: number;
  readonly engines: number;
  /** Executions per second; null: half of what the engines can do. */
  readonly rate: number | null;
  /** EXECUTION_ENGINE_RETENTION of the engines, in minutes. */
  readonly retentionMinutes: number;
  /** Seconds between two samples. */
  readonly every: number;
  readonly seed: number;
  /** Keep data and logs also when nothing grew. */
  readonly keep: boolean;
  /** Where the report is written as JSON; null: nowhere. */
  readonly report: string | null;
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0 && Number.isFinite(value))) throw new InvalidArgumentError('a number above 0.');
  return value;
}

/** Ends the process with the error. */
export function parseSoakOptions(argv: readonly string[]): SoakOptions {
  return createCommand('soak')
    .description('A steady load for a long time: what grows, and must not.')
    .option('--minutes <n>', 'how long the load lasts', positive, 30)
    .option('--engines <n>', 'engine processes', atLeastOne, 2)
    .option('--rate <n>', 'executions per second (default: half of what is measured first)', positive, null)
    .option('--retention-minutes <n>', 'how long executions are kept', atLeastOne, 2)
    .option('--every <s>', 'seconds between two samples', atLeastOne, 10)
    .option('--seed <n>', 'everything that is random follows from it', whole, RANDOM_SEED)
    .option('--keep', 'keep data and logs', false)
    .option('--report <file>', 'write the report there as JSON', (path) => path, null)
    .parse(argv, { from: 'user' })
    .opts<SoakOptions>();
}

/** The command that repeats the run. @param rate the one that was used */
export function soakCommandOf(options: SoakOptions, rate: number): string {
  const { minutes, engines, retentionMinutes, every, seed } = options;
  return (
    `npm run soak -- --minutes ${minutes} --engines ${engines} --rate ${rate} ` +
    `--retention-minutes ${retentionMinutes} --every ${every} --seed ${seed}`
  );
}
