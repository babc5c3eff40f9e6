/**
 * `compare`: what differs between two executions of a template.
 */
import { visibleText } from '../../core/text/visible.ts';
import type { ComparedStepBody, StepDifferences, StepField } from '../../services/reading/compare-answers.ts';
import { type CommonOptions, connectionOf } from '../common-options.ts';
import { printJson, printLine } from '../output.ts';
import { fittingTable } from '../terminal.ts';

/** Prints the first difference, and a line for each field of a step that differs. */
export async function compare(
  a: string,
  b: string,
  { scope, ...options }: CommonOptions & { scope?: string | undefined },
): Promise<void> {
  const body = await connectionOf(options).ask((client) => client.compare({ a, b, scope }));
  if (options.output === 'json') return printJson(body);
  const { first_difference: first } = body;
  if (first === null) return printLine('nothing differs');
  const place = first.step === null ? 'the execution' : `step ${first.step}`;
  printLine(
    visibleText(`first difference: ${first.field} of ${place}: ${textOf(first.a)} | ${textOf(first.b)}`),
  );
  const rows = body.steps.flatMap(rowsOf);
  if (rows.length > 0) printLine(`\n${fittingTable(process.stdout, ['STEP', 'FIELD', 'A', 'B'], rows)}`);
}

function rowsOf({ key, differs, a, b }: StepDifferences) {
  return differs.map((field) => [key, field, cellOf(a, field), cellOf(b, field)]);
}

function cellOf(step: ComparedStepBody | null, field: StepField): string {
  if (step === null) return '-';
  return textOf(field === 'missing' ? step.status : (step[field] ?? null));
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
