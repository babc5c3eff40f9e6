/**
 * The commands `fork` and `migrate`, which run an execution on another version or from another step on.
 */
import type { Command } from 'commander';
import type { CommonOptions } from '../common-options.ts';

/** What the command line gives to all commands. */
export interface Tools {
  common(self: Command): CommonOptions;
  append(value: string, before: string[]): string[];
  wholeNumber(value: string): number;
}

export function addVersionCommands(
  command: (usage: string, description: string) => Command,
  { common, append, wholeNumber }: Tools,
): void {
  command('fork <execution> <from>', 'start an execution that reuses what another finished before a step')
    .option('-i, --input <input>', 'as of start; default: the inputs of the source', append, [])
    .option('--set <key=value>', 'completes a step with a value as of --input; may be repeated', append, [])
    .option('--template-version <number>', 'default: that of the source', wholeNumber)
    .option('--idempotency-key <key>', 'the same key returns the same fork')
    .option('--dry-run', 'only say what would begin')
    .option('--wait', 'wait for the end and print the outputs')
    .action(async (execution, from, options, self) => {
      const { fork } = await import('./fork.ts');
      await fork(execution, from, { ...options, ...common(self) });
    });
  command('migrate <execution> <version>', 'move an execution to another version of its template')
    .option('--map <old=new>', 'a key that is another one there; null drops a step that is over', append, [])
    .option('--dry-run', 'only say what would happen')
    .action(async (execution, version, options, self) => {
      const { migrate } = await import('./migrate.ts');
      await migrate(execution, version, { ...options, ...common(self) });
    });
}
