/**
 * The options of a fairness run.
 */
import { InvalidArgumentError } from 'commander';
import { atLeastOne, createCommand } from '../options.ts';
import { FLOODS, type FloodName } from './floods.ts';

export interface FairnessOptions {
  /** Starts of each kind that are measured, under each flood and as many before it. */
  readonly starts: number;
  readonly floods: readonly FloodName[];
  /** Times the idle p99 that a p99 may be. */
  readonly most: number;
}

const NAMES = Object.keys(FLOODS) as FloodName[];

/** Ends the process with what is wrong. */
export function parseFairnessOptions(argv: readonly string[]): FairnessOptions {
  return createCommand('fairness')
    .description('What floods in one workspace cost another.')
    .option('--starts <n>', 'starts of each kind, idle and under each flood', atLeastOne, 100)
    .option('--floods <names>', `comma list of ${NAMES.join(', ')}`, namesOf, NAMES)
    .option('--most <n>', 'times the idle p99 that a p99 may be', atLeastOne, 3)
    .parse(argv, { from: 'user' })
    .opts<FairnessOptions>();
}

function namesOf(text: string): FloodName[] {
  const names = text.split(',').map((name) => name.trim());
  const unknown = names.filter((name) => !NAMES.includes(name as FloodName));
  if (unknown.length > 0)
    throw new InvalidArgumentError(`there is no flood ${unknown.join(', ')}, but ${NAMES.join(', ')}.`);
  return names as FloodName[];
}
