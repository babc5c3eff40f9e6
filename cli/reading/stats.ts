/**
 * `stats`: how many executions ended, how, and how long they took.
 */
import { type CommonOptions, connectionOf } from '../common-options.ts';
import { printJson, printLine } from '../output.ts';
import { fittingTable, formatDuration } from '../terminal.ts';

export interface StatsOptions extends CommonOptions {
  since?: string | undefined;
  until?: string | undefined;
  bucket?: string | undefined;
  template?: string | undefined;
}

/** Prints the buckets in which anything ended, and the sum of all. */
export async function stats(options: StatsOptions): Promise<void> {
  const { since, until, bucket, template, output } = options;
  const body = await connectionOf(options).ask((client) => client.stats({ since, until, bucket, template }));
  if (output === 'json') return printJson(body);
  const buckets = body.data.filter(({ total }) => total > 0);
  const rows = [
    ...buckets.map(({ at, ...numbers }) => ({ label: at, ...numbers })),
    { label: 'all', ...body.totals },
  ];
  const heading = ['FROM', 'ENDED', 'COMPLETED', 'FAILED', 'CANCELLED', 'TIMED OUT', 'P50', 'P95'];
  const cells = rows.map((row) => [
    row.label,
    row.total,
    row.completed,
    row.failed,
    row.cancelled,
    row.timed_out,
    row.p50_ms === null ? null : formatDuration(row.p50_ms),
    row.p95_ms === null ? null : formatDuration(row.p95_ms),
  ]);
  printLine(fittingTable(process.stdout, heading, cells));
}
