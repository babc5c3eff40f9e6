/**
 * The options of a fuzz run with their defaults, and the command that repeats it.
 */
import { atLeastOne, createCommand, RANDOM_SEED, whole } from '../options.ts';

export interface FuzzOptions {
  readonly documents: number;
  readonly seed: number;
  /** Requests at a time. */
  readonly inFlight: number;
  /** Seconds after which no more are sent. */
  readonly atMost: number;
  /** The longest that the event loop may stand still, in milliseconds. */
  readonly maxBlock: number;
  /** The first document: to repeat one alone. */
  readonly from: number;
  readonly report: string | null;
  /** Names of the loads that follow; empty: all. */
  readonly loads: readonly string[];
}

/** Ends the process with the error. */
export function parseFuzzOptions(argv: readonly string[]): FuzzOptions {
  const command = createCommand('fuzz')
    .description('Sends hostile documents to an engine through every door, and watches its event loop.')
    .option('--documents <n>', 'how many', whole, 20_000)
    .option('--seed <n>', 'everything that is random follows from it', whole, RANDOM_SEED)
    .option('--in-flight <n>', 'requests at a time', atLeastOne, 6)
    .option('--at-most <seconds>', 'no more are sent after that', atLeastOne, 7_200)
    .option('--max-block <ms>', 'the longest that the event loop may stand still', atLeastOne, 50)
    .option('--from <n>', 'number of the first document', whole, 0)
    .option('--report <file>', 'write the report there as JSON', (path) => path, null)
    .option(
      '--loads <names>',
      'loads that follow, joined by commas; none: no load (default: all)',
      namesOf,
      [],
    )
    .parse(argv, { from: 'user' });
  return command.opts() as FuzzOptions;
}

function namesOf(text: string): string[] {
  return text.split(',');
}

/** The command that repeats the run. */
export function fuzzCommandOf({ documents, seed, inFlight, maxBlock, from, loads }: FuzzOptions): string {
  const named = loads.length === 0 ? '' : ` --loads ${loads.join()}`;
  return `npm run fuzz -- --documents ${documents} --seed ${seed} --in-flight ${inFlight} --max-block ${maxBlock} --from ${from}${named}`;
}
