/**
 * `bun run bench:reading`: how long the calls for people and pages take on full tables, one after the other over HTTP.
 *
 * BENCH_READING_EXECUTIONS (1,000,000: of ten steps each, some 12 GB), BENCH_READING_CALLS (200: of each kind).
 */
import { setTimeout as delay } from 'node:timers/promises';
import { createPool } from '../db/connection/client.ts';
import { describeMachine, resultName } from './machine.ts';
import { readCalls } from './reading/calls.ts';
import { fillTables, STEPS, untilCounted } from './reading/tables.ts';
import { store } from './report/results.ts';
import { markdownTable, quantile, show } from './report/statistics.ts';
import { numberSetting } from './settings.ts';
import { engineEnv } from './subject/engine-settings.ts';
import { startBenchServer, stopOnSignal } from './subject/server.ts';
import { SubjectProcess } from './subject/subject-process.ts';

const executions = numberSetting('BENCH_READING_EXECUTIONS', 1_000_000);
const calls = numberSetting('BENCH_READING_CALLS', 200);
const TEMPLATES = 20;
const WARM = 5;

const server = await startBenchServer();
stopOnSignal(server.stop);
const databaseUrl = await server.database('reading');
const engine = new SubjectProcess({ script: 'engine-process.ts', env: engineEnv(databaseUrl) });
const pool = createPool(databaseUrl, { max: 1, applicationName: 'bench', statementTimeoutMs: 0 });
const found: { name: string; ms: number[]; bytes: number; rows: number }[] = [];
try {
  const { url } = await engine.describe();
  await publish(url!);
  const begun = performance.now();
  await fillTables(databaseUrl, executions);
  console.log(`Filled in ${Math.round((performance.now() - begun) / 1_000)} s; waiting for the counters`);
  await untilCounted(pool, () => delay(1_000));
  await server.settle();
  for (const call of await readCalls(pool)) {
    const ms: number[] = [];
    let bytes = 0;
    let rows = 0;
    for (let at = -WARM; at < calls; at += 1) {
      const path = call.path();
      const from = performance.now();
      const answer = await fetch(`${url}${path}`);
      const text = await answer.text();
      if (at >= 0) ms.push(performance.now() - from);
      if (!answer.ok) throw new Error(`${path} answered ${answer.status}: ${text}`);
      bytes = Math.max(bytes, text.length);
      rows = Math.max(rows, (JSON.parse(text) as { data?: unknown[] }).data?.length ?? 0);
    }
    found.push({ name: call.name, ms, bytes, rows });
    console.log(`${call.name}: ${show(quantile(ms, 0.5))} ms, p99 ${show(quantile(ms, 0.99))} ms`);
  }
} finally {
  await engine.stop();
  await pool.end();
  await server.stop();
}

const rows = found.map(({ name, ms, bytes, rows: most }) => [
  name,
  show(quantile(ms, 0.5)),
  show(quantile(ms, 0.99)),
  String(most),
  show(bytes / 1_000),
]);
console.log(`\n${executions} executions, ${executions * STEPS} steps\n`);
console.log(markdownTable(['call', 'p50, ms', 'p99, ms', 'most rows', 'most KB'], rows));
const machine = describeMachine();
const path = store(resultName('reading-', machine), {
  machine,
  server: server.settings,
  executions,
  calls,
  found,
});
console.log(`Stored in ${path}`);
process.exit(0);

/** Publishes templates of ten steps in a chain. */
async function publish(url: string): Promise<void> {
  const keys = Array.from({ length: STEPS }, (_, at) => `s${at}`);
  const steps = Object.fromEntries(
    keys.map((key, at) => [key, { type: 'noop', with: {}, ...(at === 0 ? {} : { needs: [keys[at - 1]] }) }]),
  );
  for (let at = 0; at < TEMPLATES; at += 1) {
    const definition = { name: `reading-${String(at).padStart(2, '0')}`, steps };
    const answer = await fetch(`${url}/api/v1/templates`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(definition),
    });
    if (!answer.ok) throw new Error(`A template was answered ${answer.status}: ${await answer.text()}`);
  }
}
