/**
 * While the database is away an engine says so, in few lines however much it is asked to do, and nothing is lost.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test';
import { loadConfig } from '../../config/config.ts';
import { type Engine, startEngine } from '../../engine/engine.ts';
import { createLog } from '../../telemetry/log.ts';
import { type EngineCalls, type EngineDatabase, engineCalls, engineDatabase } from '../support/engine.ts';
import { proxyTo } from '../support/faults/proxy.ts';
import { assertInvariants } from '../support/invariants.ts';

setDefaultTimeout(120_000);

const MAX_LINES = 100;
const CALLS = 1_000;

let database: EngineDatabase;
let proxy: Awaited<ReturnType<typeof proxyTo>>;
let engine: Engine;
let calls: EngineCalls;
const lines: { level: string; msg: string; repeated?: number }[] = [];

beforeAll(async () => {
  database = await engineDatabase();
  proxy = await proxyTo(database.url);
  const log = createLog({
    level: 'info',
    pretty: false,
    secrets: [],
    destination: { write: (line) => void lines.push(JSON.parse(line)) },
  });
  const env = { EXECUTION_ENGINE_PORT: '0', EXECUTION_ENGINE_HOST: '127.0.0.1' };
  engine = await startEngine(loadConfig(env), proxy.url, log);
  calls = engineCalls(engine.url);
});

afterAll(async () => {
  await engine?.stop();
  await proxy?.close();
  await database?.drop();
});

test('what may lose data is said once at the start, and in health for as long as it is so', async () => {
  const said = lines.filter(({ level }) => level === 'warn').map(({ msg }) => msg);
  expect(said.map((line) => line.split(' ')[0])).toEqual(['fsync', 'full_page_writes', 'synchronous_commit']);
  for (const path of ['/health', '/health/ready']) {
    const { status, body } = await calls.request('GET', path);
    expect([status, body.status, body.warnings]).toEqual([200, 'ok', said]);
  }
});

test('a database that refuses connections is a few lines, clean answers, and 503 in health; then work goes on', async () => {
  const template = await calls.publish({
    steps: { wait: { type: 'delay', with: { for: '1ms' } }, after: { type: 'noop', needs: ['wait'] } },
  });
  const before = await calls.start(template);
  lines.length = 0;
  proxy.refuse();
  // Two in every hundred calls look at something, the others start something.
  for (let sent = 0; sent < CALLS; sent += 100) {
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, n) =>
        n < 2
          ? calls.request('GET', '/admin/executions')
          : calls.request('POST', '/api/v1/execution/start', {
              template,
              idempotency_key: `away-${sent + n}`,
            }),
      ),
    );
    for (const { status, body } of answers) expect([status, body.code]).toEqual([503, 'unavailable']);
  }
  for (;;) {
    const { status, body } = await calls.request('GET', '/health/ready');
    // What it saw half a second ago it does not look at again.
    if (status === 200) continue;
    expect(status).toBe(503);
    const checks = body.checks as Record<string, { status: string; message?: string }>;
    expect(checks.database!.message).toStartWith('The database does not answer: ');
    // Until the work loop has met it as well.
    if (checks.work_loop!.status === 'fail') break;
  }
  expect((await calls.request('GET', '/health/live')).status).toBe(200);
  const written = lines.map(({ msg }) => msg);
  expect(written.filter((line) => line.startsWith('The database could not be used')).length).toBeGreaterThan(
    0,
  );
  expect(written.filter((line) => line.startsWith('A call could not be answered')).length).toBeGreaterThan(0);
  expect(written.length).toBeLessThanOrEqual(MAX_LINES);

  proxy.heal();
  while ((await calls.request('GET', '/health/ready')).status !== 200);
  expect((await calls.end(before)).status).toBe('completed');
  const again = await calls.client.start({ template, idempotency_key: 'away-2' });
  expect((await calls.end(again.execution_id)).status).toBe('completed');
  await database.until(
    'select bool_and(completed_at is not null) from workflow_executions where workflow_template_id is not null',
  );
  await assertInvariants(database.url);
  expect(lines.filter(({ level }) => level === 'error').length).toBeLessThanOrEqual(MAX_LINES);
});

test('an engine whose database is not there yet waits for it', async () => {
  const away = await proxyTo(database.url);
  away.refuse();
  const waited = Promise.withResolvers<void>();
  const log = createLog({
    level: 'warn',
    pretty: false,
    secrets: [],
    destination: { write: (line) => line.includes('waiting for it') && waited.resolve() },
  });
  const starting = startEngine(loadConfig({ EXECUTION_ENGINE_PORT: '0' }), away.url, log);
  await waited.promise;
  away.heal();
  const late = await starting;
  expect((await fetch(`${late.url}/health/ready`)).status).toBe(200);
  await late.stop();
  await away.close();
});
