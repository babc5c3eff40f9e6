/**
 * The options of a run of ends with their defaults, and the command that repeats it.
 */
import { atLeastOne, createCommand, RANDOM_SEED, whole } from '../options.ts';

export interface EndsOptions {
  /** Cancels and stops against the completion of what is below. */
  readonly races: number;
  /** Executions at a time. */
  readonly inFlight: number;
  /** Items, or children, that run when a wide execution is cancelled. */
  readonly open: number;
  /** The longest that the cancel of a wide execution may take until everything is final, in milliseconds. */
  readonly most: number;
  readonly seed: number;
}

/** Ends the process with the error. */
export function parseEndsOptions(argv: readonly string[]): EndsOptions {
  return createCommand('ends')
    .description('Cancels and stops executions with scopes and children, on two engines, at random moments.')
    .option('--races <n>', 'ends against completions', atLeastOne, 10_000)
    .option('--in-flight <n>', 'executions at a time', atLeastOne, 40)
    .option('--open <n>', 'items or children that run when a wide execution is cancelled', atLeastOne, 1_000)
    .option('--most <ms>', 'until everything of a wide execution is final', atLeastOne, 2_000)
    .option('--seed <n>', 'everything that is random follows from it', whole, RANDOM_SEED)
    .parse(argv, { from: 'user' })
    .opts<EndsOptions>();
}

/** Returns the command that repeats the run. */
export function endsCommandOf({ races, inFlight, open, most, seed }: EndsOptions): string {
  return `npm run ends -- --races ${races} --in-flight ${inFlight} --open ${open} --most ${most} --seed ${seed}`;
}
