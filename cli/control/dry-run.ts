/**
 * The answer of a dry run, for people.
 */

import type { DryRun } from '../../core/control/dry-run.ts';
import { visibleText } from '../../core/text/visible.ts';
import type { AnsweredStepBody } from '../../services/steps/answers.ts';
import type { CommonOptions } from '../common-options.ts';
import { printJson, printLine, writeLine } from '../output.ts';

const EFFECTS = ['resets', 'starts', 'cancels', 'skips'] as const;

/** Prints a line for each effect. */
export function printDryRun(answer: DryRun, options: CommonOptions): void {
  if (options.output === 'json') {
    printJson(answer);
    return;
  }
  for (const effect of EFFECTS)
    if (answer[effect].length > 0) printLine(visibleText(`${effect}: ${answer[effect].join(', ')}`));
  if (EFFECTS.every((effect) => answer[effect].length === 0)) printLine('nothing would change');
  for (const { code, message } of answer.warnings) writeLine(visibleText(`warning: ${code} ${message}`));
}

/** Prints a step that was ended by hand, or what would be done. */
export function printForced(answer: AnsweredStepBody | DryRun, options: CommonOptions): void {
  if ('dry_run' in answer) printDryRun(answer, options);
  else if (options.output === 'json') printJson(answer);
  else printLine(visibleText(`step ${answer.id} ${answer.status}`));
}
