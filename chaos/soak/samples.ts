/**
 * A sample of a soak run: the state of engines and database as seen from outside, as numbers by name.
 *
 * Rates and times are of the time since the sample before; the first sample has none.
 */
import { readdirSync, readFileSync } from 'node:fs';
import type { Pool } from '../../db/connection/client.ts';
import { memoryBytes } from '../../process/process-usage.ts';
import type { EngineProcess } from '../stage/engine-process.ts';
import { TIMED } from './definitions.ts';
import { type LagCounts, lagOf, lagSince } from './lag.ts';
import type { SoakLoad } from './load.ts';

export interface Sample {
  /** Seconds since the load began. */
  readonly at: number;
  /** By series. */
  readonly values: Readonly<Record<string, number>>;
}

export interface SamplerParts {
  readonly admin: Pool;
  readonly load: SoakLoad;
  engines(): readonly EngineProcess[];
}

export const KEPT = 'executions kept';
const MIB = 1_048_576;
const SCRAPE_TIMEOUT_MS = 5_000;

const TABLES = `
  select n.nspname || '.' || c.relname as name, pg_table_size(c.oid)::float8 as table_bytes,
         pg_indexes_size(c.oid)::float8 as index_bytes, coalesce(pg_stat_get_dead_tuples(c.oid), 0)::float8 as dead
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
   where c.relkind = 'r' and n.nspname not in ('pg_catalog', 'information_schema')`;

/** Times are of executions that ended in the last `$1` seconds. */
const COUNTS = `
  select (select count(*) from pgboss.job)::float8 as jobs,
         (select count(*) from workflow_executions)::float8 as kept,
         (select count(*) from workflow_executions where completed_at is null)::float8 as open,
         (select count(*) from pg_stat_activity where application_name like 'engine/%')::float8 as connections,
         (select coalesce(sum(calls), 0) from pg_stat_statements)::float8 as statements,
         (select percentile_cont(array[0.5, 0.99]) within group
                   (order by extract(epoch from e.completed_at - e.created_at) * 1000)
            from workflow_executions e join workflow_templates t on t.id = e.workflow_template_id
           where t.name = '${TIMED}' and e.completed_at > now() - $1 * interval '1 second') as times`;

export class Sampler {
  readonly samples: Sample[] = [];
  readonly #parts: SamplerParts;
  readonly #begunAt = performance.now();
  readonly #lags = new Map<string, LagCounts>();
  #statements: number | null = null;

  constructor(parts: SamplerParts) {
    this.#parts = parts;
  }

  /** Takes a sample and keeps it. */
  async take(): Promise<Sample> {
    const at = (performance.now() - this.#begunAt) / 1_000;
    const seconds = at - (this.samples.at(-1)?.at ?? 0);
    const values = {
      ...this.#memory(),
      ...(await this.#database(seconds)),
      ...(await this.#lag()),
      ...timesOf('start', this.#parts.load.takeAnswerTimes()),
    };
    const sample = { at, values };
    this.samples.push(sample);
    return sample;
  }

  #memory(): Record<string, number> {
    const parents = readParents();
    const values: Record<string, number> = {};
    this.#parts.engines().forEach(({ pid }, at) => {
      const children = descendants(pid!, parents);
      const inChildren = children.reduce((sum, child) => sum + (memoryBytes(child)?.resident ?? 0), 0);
      values[`engine ${at + 1} memory (MiB)`] = (memoryBytes(pid!)?.resident ?? Number.NaN) / MIB;
      values[`engine ${at + 1} children memory (MiB)`] = inChildren / MIB;
      values[`engine ${at + 1} children`] = children.length;
    });
    return values;
  }

  async #database(seconds: number): Promise<Record<string, number>> {
    const { admin } = this.#parts;
    const { rows: tables } = await admin.query(TABLES);
    const { rows } = await admin.query(COUNTS, [seconds]);
    const { jobs, kept, open, connections, statements, times } = rows[0];
    const values: Record<string, number> = { [KEPT]: kept, 'executions open': open, jobs, connections };
    const sum = (of: (table: { table_bytes: number; index_bytes: number; dead: number }) => number) =>
      tables.reduce((total, table) => total + of(table), 0);
    values['dead rows'] = sum(({ dead }) => dead);
    values['tables (MiB)'] = sum(({ table_bytes }) => table_bytes) / MIB;
    values['indexes (MiB)'] = sum(({ index_bytes }) => index_bytes) / MIB;
    for (const { name, table_bytes, index_bytes } of tables)
      values[`${name} (MiB)`] = (table_bytes + index_bytes) / MIB;
    if (this.#statements !== null) values['statements/s'] = (statements - this.#statements) / seconds;
    this.#statements = statements;
    if (times !== null) [values['completed p50 (ms)'], values['completed p99 (ms)']] = times;
    return values;
  }

  /** The worst of all engines. */
  async #lag(): Promise<Record<string, number>> {
    const lags: number[] = [];
    for (const { name, url } of this.#parts.engines()) {
      const answer = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(SCRAPE_TIMEOUT_MS) });
      const counts = lagOf(await answer.text());
      const before = this.#lags.get(name);
      this.#lags.set(name, counts);
      const lag = before === undefined ? null : lagSince(before, counts);
      if (lag !== null) lags.push(lag);
    }
    return lags.length === 0 ? {} : { 'event loop lag (mean ms)': Math.max(...lags) };
  }
}

function timesOf(what: string, ms: readonly number[]): Record<string, number> {
  if (ms.length === 0) return {};
  const sorted = ms.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
  return { [`${what} p50 (ms)`]: at(0.5), [`${what} p99 (ms)`]: at(0.99) };
}

/** The parent of every process of this machine. */
function readParents(): Map<number, number> {
  const parents = new Map<number, number>();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const fields = readFileSync(`/proc/${entry}/stat`, 'latin1').split(') ').at(-1)!.split(' ');
      parents.set(Number(entry), Number(fields[1]));
    } catch {
      // It has ended meanwhile.
    }
  }
  return parents;
}

function descendants(pid: number, parents: ReadonlyMap<number, number>): number[] {
  const children = [...parents].filter(([, parent]) => parent === pid).map(([child]) => child);
  return [...children, ...children.flatMap((child) => descendants(child, parents))];
}
