/**
 * Statements on workflow_end_counts: how many executions ended, by span, workspace and template.
 */
import {
  type CountKey,
  type End,
  type EndCount,
  type EndNumbers,
  keyText,
} from '../../core/stats/end-counts.ts';
import { fromPairs, toPairs } from '../../core/stats/histogram.ts';
import { plainArray, textArray } from '../array-literal.ts';
import type { Db, Tx } from '../connection/client.ts';

const COLUMNS = 'width, workspace, template, starts_at, completed, failed, cancelled, timed_out, durations';
/** Durations are read as text, which is parsed in a tenth of the time of an array. */
const READ_COLUMNS = COLUMNS.replace('durations', 'durations::text as durations');

const READ = `
  select ${READ_COLUMNS} from workflow_end_counts
   where (width, workspace, template, starts_at) in (
           select width, workspace, template, timestamptz 'epoch' + starts_at * interval '1 second'
             from unnest($1::integer[], $2::text[], $3::text[], $4::bigint[]) as t(width, workspace, template, starts_at))`;

/** Returns the counts that are there already, by their keys (`keyText`). Uses the primary key. */
export async function readCounts(tx: Tx, keys: readonly CountKey[]): Promise<Map<string, EndNumbers>> {
  const { rows } = await tx.query(READ, keyColumns(keys));
  return new Map(rows.map((row) => [keyText(toKey(row)), toNumbers(row)]));
}

const WRITE = `
  insert into workflow_end_counts (${COLUMNS})
  select width, workspace, template, timestamptz 'epoch' + starts_at * interval '1 second', completed, failed, cancelled,
         timed_out, durations::integer[]
    from unnest($1::integer[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
                $8::bigint[], $9::text[])
      as t(width, workspace, template, starts_at, completed, failed, cancelled, timed_out, durations)
  on conflict (width, workspace, template, starts_at) do update
     set completed = excluded.completed, failed = excluded.failed, cancelled = excluded.cancelled,
         timed_out = excluded.timed_out, durations = excluded.durations`;

/** Writes counts in place of those that are there. */
export async function writeCounts(tx: Tx, counts: readonly EndCount[]): Promise<void> {
  const numbers = counts.map((count) => count.numbers);
  await tx.query(WRITE, [
    ...keyColumns(counts),
    plainArray(numbers.map(({ completed }) => completed)),
    plainArray(numbers.map(({ failed }) => failed)),
    plainArray(numbers.map(({ cancelled }) => cancelled)),
    plainArray(numbers.map(({ timed_out }) => timed_out)),
    textArray(numbers.map(({ durations }) => plainArray(toPairs(durations)))),
  ]);
}

function keyColumns(keys: readonly CountKey[]): unknown[] {
  return [
    plainArray(keys.map(({ width }) => width)),
    textArray(keys.map(({ workspace }) => workspace)),
    textArray(keys.map(({ template }) => template)),
    plainArray(keys.map(({ startsAtMs }) => startsAtMs / 1_000)),
  ];
}

export interface CountsAsked {
  readonly width: number;
  readonly workspace: string;
  readonly template: string;
  readonly fromMs: number;
  readonly untilMs: number;
}

export interface CountedSpan {
  readonly startsAtMs: number;
  readonly ends: Readonly<Record<End, number>>;
  /** As text: `pairsOf` reads it. */
  readonly durations: string;
}

/** Returns pairs of class and number. */
export function pairsOf(durations: string): number[] {
  return JSON.parse(`[${durations.slice(1, -1)}]`) as number[];
}

const READ_SPANS = `
  select ${READ_COLUMNS} from workflow_end_counts
   where width = $1 and workspace = $2 and template = $3
     and starts_at >= timestamptz 'epoch' + $4::bigint * interval '1 millisecond'
     and starts_at < timestamptz 'epoch' + $5::bigint * interval '1 millisecond'
   order by starts_at`;

/** Returns the counts of the spans of a time. Uses the primary key. */
export async function readSpans(
  db: Db,
  { width, workspace, template, fromMs, untilMs }: CountsAsked,
): Promise<CountedSpan[]> {
  const { rows } = await db.query({
    name: 'read_spans',
    text: READ_SPANS,
    values: [width, workspace, template, fromMs, untilMs],
  });
  return rows.map((row) => ({
    startsAtMs: row.starts_at.getTime(),
    ends: toEnds(row),
    durations: row.durations,
  }));
}

/** Deletes counts of spans that began so many seconds ago or earlier. Uses workflow_end_counts_old. */
export async function deleteOldCounts(db: Db, width: number, ageSeconds: number): Promise<void> {
  await db.query(
    `delete from workflow_end_counts where width = $1 and starts_at <= now() - $2 * interval '1 second'`,
    [width, ageSeconds],
  );
}

// biome-ignore lint/suspicious/noExplicitAny: a row from the driver
function toKey({ width, workspace, template, starts_at }: any): CountKey {
  return { width, workspace, template, startsAtMs: starts_at.getTime() };
}

// biome-ignore lint/suspicious/noExplicitAny: a row from the driver
function toEnds(row: any): Record<End, number> {
  const { completed, failed, cancelled, timed_out } = row;
  return {
    completed: Number(completed),
    failed: Number(failed),
    cancelled: Number(cancelled),
    timed_out: Number(timed_out),
  };
}

// biome-ignore lint/suspicious/noExplicitAny: a row from the driver
function toNumbers(row: any): EndNumbers {
  return { ...toEnds(row), durations: new Map(fromPairs(pairsOf(row.durations))) };
}
