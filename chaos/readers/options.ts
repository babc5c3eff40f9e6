/**
 * The options of a run of readers with their defaults, and the command that repeats it.
 */
import { atLeastOne, createCommand, RANDOM_SEED, whole } from '../options.ts';

export interface ReadersOptions {
  readonly executions: number;
  readonly readers: number;
  /** Executions that each reader follows at a time. */
  readonly each: number;
  /** Readers that follow executions in which nothing happens. */
  readonly idle: number;
  /** The time for which the idle ones are watched. */
  readonly idleSeconds: number;
  readonly seed: number;
}

/** Ends the process with the error. */
export function parseReadersOptions(argv: readonly string[]): ReadersOptions {
  return createCommand('readers')
    .description(
      'Follows executions by their events, broken off and resumed at random, while engines are killed.',
    )
    .option('--executions <n>', 'executions of 50 steps', atLeastOne, 200)
    .option('--readers <n>', 'readers', atLeastOne, 50)
    .option('--each <n>', 'executions that each of them follows', atLeastOne, 8)
    .option('--idle <n>', 'readers of executions in which nothing happens', atLeastOne, 1_000)
    .option('--idle-seconds <n>', 'for which they are watched', atLeastOne, 20)
    .option('--seed <n>', 'everything that is random follows from it', whole, RANDOM_SEED)
    .parse(argv, { from: 'user' })
    .opts<ReadersOptions>();
}

/** Returns the command that repeats the run. */
export function readersCommandOf(options: ReadersOptions): string {
  const { executions, readers, each, idle, idleSeconds, seed } = options;
  return `npm run readers -- --executions ${executions} --readers ${readers} --each ${each} --idle ${idle} --idle-seconds ${idleSeconds} --seed ${seed}`;
}
