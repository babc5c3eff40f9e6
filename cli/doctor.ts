/**
 * `doctor`: the broken invariants, as a table, and their repair.
 */
import { visibleText } from '../core/text/visible.ts';
import type { DoctorReport } from '../services/doctor/report.ts';
import { type CommonOptions, connectionOf } from './common-options.ts';
import { Failed } from './failure.ts';
import { printJson, printLine } from './output.ts';
import { paint, table } from './terminal.ts';

export interface DoctorOptions extends CommonOptions {
  repair?: boolean | undefined;
  everything?: boolean | undefined;
  grace?: number | undefined;
  accept: string[];
}

/** A large database takes its time. */
const TIMEOUT_MS = 600_000;

/** Throws Failed when a finding was not repaired. */
export async function doctor(options: DoctorOptions): Promise<void> {
  const { ask } = connectionOf(options, TIMEOUT_MS);
  const request = { everything: options.everything, grace_seconds: options.grace, accept: options.accept };
  const report = await ask((client) => (options.repair ? client.repair(request) : client.examine(request)));
  if (options.output === 'json') printJson(report);
  else printReport(report);
  if (!report.ok) throw new Failed();
}

function printReport({ ok, findings, repaired, checked, unanswered }: DoctorReport): void {
  if (repaired.length > 0) {
    const rows = repaired.map(({ invariant, count }) => [invariant, count]);
    printLine(`${table(['REPAIRED', 'ROWS'], rows)}\n`);
  }
  if (ok) printLine(paint(process.stdout, 'green', `all ${checked.length} invariants hold`));
  if (findings.length > 0) {
    const rows = findings.flatMap(({ invariant, count, examples }) =>
      examples.map(({ id, detail }, at) => [at === 0 ? invariant : '', at === 0 ? count : '', id, detail]),
    );
    printLine(table(['INVARIANT', 'ROWS', 'EXAMPLE', 'WHAT IS WRONG'], rows));
    for (const { invariant, meaning, advice } of findings)
      printLine(`\n${visibleText(`${invariant}: ${meaning} ${advice}`)}`);
  }
  for (const { invariant, reason } of unanswered)
    printLine(`\n${visibleText(`${invariant} could not be checked: ${reason}`)}`);
}
