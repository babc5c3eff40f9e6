/**
 * `npm run bench:waits`: what executions cost that wait for a signal, and how fast signals end their waits.
 *
 * One engine process on a durable server. Many executions begin to wait; then the engine's memory and its statements are
 * compared with those of an engine with nothing to do. Then signals come at a fixed rate, over HTTP and in SQL, and as fast as
 * the engine takes them. A signal's time counts from the moment it was due until a long poll sees the end of its execution,
 * for a sample of them; `in the database` is the time from its row to the end, for all of them.
 *
 * BENCH_WAITS (100,000 executions), BENCH_WAITS_IDLE (20: seconds of each look at an idle engine), BENCH_WAITS_RATE (1,000
 * signals a second), BENCH_WAITS_SECONDS (10: of each load).
 */
import { setTimeout as delay } from 'node:timers/promises';
import { createPool } from '../db/connection/client.ts';
import { cpuMs } from './cost.ts';
import { markdownTable, quantile, show } from './report/statistics.ts';
import { readMemory } from './resident-memory.ts';
import { numberSetting } from './settings.ts';
import { publishOver, startManyOver } from './subject/engine-client.ts';
import { engineEnv } from './subject/engine-settings.ts';
import { OBSERVED } from './subject/protocol.ts';
import { startBenchServer, stopOnSignal } from './subject/server.ts';
import { SubjectProcess } from './subject/subject-process.ts';
import { type Signalled, signalsAtRate, signalsInTurn } from './waits/signal-load.ts';
import type { Workload } from './workloads.ts';

const waiting = numberSetting('BENCH_WAITS', 100_000);
const idleSeconds = numberSetting('BENCH_WAITS_IDLE', 20);
const rate = numberSetting('BENCH_WAITS_RATE', 1_000);
const seconds = numberSetting('BENCH_WAITS_SECONDS', 10);
const GOAL_MB = 20;
const GOAL_P99_MS = 100;
const WARM = 2_000;
const CLIENTS = 64;
const DATABASE = 'engine';

const workload: Workload = {
  name: 'wait',
  stepCount: 1,
  definition: { name: 'wait', steps: { pay: { type: 'wait', with: { signal: 'go' } } } },
};

const server = await startBenchServer();
stopOnSignal(server.stop);
const databaseUrl = await server.database(DATABASE);
await server.count(DATABASE, true);
const engine = new SubjectProcess({ script: 'engine-process.ts', env: engineEnv(databaseUrl) });
const pool = createPool(databaseUrl, { max: 16, applicationName: 'bench', statementTimeoutMs: 0 });

try {
  await measure((await engine.describe()).url!);
} finally {
  await engine.stop();
  await pool.end();
  await server.stop();
}
process.exit(0);

async function measure(url: string): Promise<void> {
  const overHttp = httpSender(url);
  const template = await publishOver(url, workload);
  await startManyOver([url], template, workload, WARM);
  await untilWaiting(WARM);
  await signalsInTurn(overHttp, await waitingIds(), CLIENTS, Number.POSITIVE_INFINITY);
  await untilWaiting(0);
  const idle = await look();
  await startManyOver([url], template, workload, waiting);
  await untilWaiting(waiting);
  const parked = await look();
  tellIdle(idle, parked);
  const rows: string[][] = [];
  const ids = await waitingIds();
  const take = (count: number) => ids.splice(0, Math.ceil(count));
  for (const [name, send] of [
    ['HTTP', overHttp],
    ['SQL', inSql],
  ] as const) {
    rows.push(
      await load(`${name}, ${show(rate)} a second`, () =>
        signalsAtRate(send, take(rate * seconds), rate, url),
      ),
    );
    rows.push(await load(`${name}, ${CLIENTS} clients`, () => signalsInTurn(send, ids, CLIENTS, seconds)));
  }
  console.log(
    `\n${markdownTable(
      [
        'signals',
        'sent',
        'a second, sent',
        'a second, ended',
        'p50 (ms)',
        `p99 (ms; wanted at a fixed rate: below ${GOAL_P99_MS})`,
        'in the database p50',
        'p99',
        'µs of the engine',
        'µs of PostgreSQL',
      ],
      rows,
    )}`,
  );
}

interface Look {
  readonly mb: number;
  readonly statements: number;
  readonly engineMs: number;
  readonly serverMs: number;
}

/** Reads memory after a collection, and what one second without work costs. */
async function look(): Promise<Look> {
  await server.settle();
  await delay(2_000);
  await engine.collect();
  const { mb } = readMemory(engine.pid);
  const before = [await statements(), cpuMs(engine.pid), cpuMs(server.pid)] as const;
  await delay(idleSeconds * 1_000);
  const after = [await statements(), cpuMs(engine.pid), cpuMs(server.pid)] as const;
  const [count, engineMs, serverMs] = after.map((value, at) => (value! - before[at]!) / idleSeconds);
  return { mb, statements: count!, engineMs: engineMs!, serverMs: serverMs! };
}

async function statements(): Promise<number> {
  const { rows } = await server.admin.query(
    `select coalesce(sum(s.calls), 0)::float8 as calls from pg_stat_statements s join pg_database d on d.oid = s.dbid
      where d.datname = $1 and s.toplevel and position('${OBSERVED}' in s.query) = 0`,
    [DATABASE],
  );
  return rows[0].calls;
}

function tellIdle(idle: Look, parked: Look): void {
  const row = (name: string, { mb, statements, engineMs, serverMs }: Look) => [
    name,
    show(mb),
    show(statements),
    show(engineMs),
    show(serverMs),
  ];
  console.log(
    markdownTable(
      ['engine', 'resident (MB)', 'statements a second', 'ms of CPU a second', 'of PostgreSQL'],
      [row('idle', idle), row(`${waiting.toLocaleString('en')} executions wait`, parked)],
    ),
  );
  console.log(`\nAdded: ${show(parked.mb - idle.mb)} MB (wanted: below ${GOAL_MB}).`);
}

async function load(name: string, run: () => Promise<Signalled>): Promise<string[]> {
  const before = await count('completed');
  const cpu = () => [cpuMs(engine.pid)!, cpuMs(server.pid)!] as const;
  const [engineBefore, serverBefore] = cpu();
  const begun = performance.now();
  const { sent, seconds: sending, times, failed } = await run();
  if (failed > 0) throw new Error(`${failed} signals of ${name} failed`);
  while ((await count('completed')) < before + sent) await delay(20);
  const ended = (performance.now() - begun) / 1_000;
  const [engineAfter, serverAfter] = cpu();
  const { rows } = await pool.query(
    `select percentile_disc(array[0.5, 0.99]) within group (order by extract(epoch from e.completed_at - k.received_at) * 1000) as ms
       from (select workflow_execution_id, received_at from workflow_signals order by id desc limit $1) k
       join workflow_executions e on e.id = k.workflow_execution_id ${OBSERVED}`,
    [sent],
  );
  const us = (ms: number) => show((ms * 1_000) / sent);
  return [
    name,
    show(sent),
    show(sent / sending),
    show(sent / ended),
    show(quantile(times, 0.5)),
    show(quantile(times, 0.99)),
    ...rows[0].ms.map((ms: string) => show(Number(ms))),
    us(engineAfter - engineBefore),
    us(serverAfter - serverBefore),
  ];
}

function httpSender(url: string): (id: string) => Promise<void> {
  const headers = { 'content-type': 'application/json' };
  return async (id) => {
    const body = JSON.stringify({ execution_id: id, signal: 'go', payload: { paid: true } });
    const answer = await fetch(`${url}/api/v1/execution/signal`, { method: 'POST', headers, body });
    if (!answer.ok) throw new Error(`A signal was answered ${answer.status}: ${await answer.text()}`);
    await answer.arrayBuffer();
  };
}

async function inSql(id: string): Promise<void> {
  await pool.query({
    name: 'send',
    text: `select workflow_signal($1, 'go', '{"paid": true}') ${OBSERVED}`,
    values: [id],
  });
}

async function count(status: string): Promise<number> {
  const { rows } = await pool.query(
    `select count(*)::integer as count from workflow_executions where status = $1 ${OBSERVED}`,
    [status],
  );
  return rows[0].count;
}

async function untilWaiting(executions: number): Promise<void> {
  const asked = `select count(*)::integer as count from workflow_step_executions where waiting_for is not null ${OBSERVED}`;
  while ((await pool.query(asked)).rows[0].count !== executions)
    await Promise.race([delay(100), engine.gone]);
}

/** In an order that has nothing to do with that of the starts. */
async function waitingIds(): Promise<string[]> {
  const { rows } = await pool.query(
    `select id from workflow_executions where status = 'running' order by md5(id::text) ${OBSERVED}`,
  );
  return rows.map(({ id }) => id);
}
