/**
 * While the database is away an engine says so, in few lines however much it is asked to do, and nothing is lost.
 */
import { expect, test } from 'bun:test';
import { createLog } from '../../../telemetry/log.ts';
import type { EngineDatabase, TestEngine } from '../../support/engine.ts';
import { proxyTo } from '../../support/faults/proxy.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { assertInvariants } from '../../support/invariants.ts';
import { until } from '../../support/until.ts';

const MAX_LINES = 100;
const CALLS = 1_000;

let database: EngineDatabase;
let proxy: Awaited<ReturnType<typeof proxyTo>>;
let engine: TestEngine;
const lines: { level: string; msg: string; repeated?: number; database?: string; reason?: string }[] = [];
/** Of these, what was there when it was ready. */
let linesOfStart: typeof lines;

const fixture = fixtureForAll(async () => {
  database = await fixture.database();
  proxy = await fixture.use(proxyTo(database.url), (made) => made.close());
  const log = createLog({
    level: 'info',
    pretty: false,
    secrets: [],
    destination: { write: (line) => void lines.push(JSON.parse(line)) },
  });
  engine = await fixture.engine({ url: proxy.url, recordsUrl: database.url, log });
  linesOfStart = [...lines];
});

test('what may lose data is said once at the start, and in health for as long as it is so', async () => {
  const said = linesOfStart.filter(({ level }) => level === 'warn').map(({ msg }) => msg);
  expect(said.map((line) => line.split(' ')[0])).toEqual(['fsync', 'full_page_writes', 'synchronous_commit']);
  for (const path of ['/health', '/health/ready']) {
    const { status, body } = await engine.request('GET', path);
    expect([status, body.status, body.warnings]).toEqual([200, 'ok', said]);
  }
});

test('a database that refuses connections is a few lines, clean answers, and 503 in health; then work goes on', async () => {
  const template = await engine.publish({
    steps: { wait: { type: 'delay', with: { for: '1ms' } }, after: { type: 'noop', needs: ['wait'] } },
  });
  const before = await engine.start(template);
  lines.length = 0;
  proxy.refuse();
  // Two in every hundred calls look at something, the others start something.
  for (let sent = 0; sent < CALLS; sent += 100) {
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, n) =>
        n < 2
          ? engine.request('GET', '/admin/executions')
          : engine.request('POST', '/api/v1/execution/start', {
              template,
              idempotency_key: `away-${sent + n}`,
            }),
      ),
    );
    for (const { status, body } of answers) expect([status, body.code]).toEqual([503, 'unavailable']);
  }
  await until(async () => {
    const { status, body } = await engine.request('GET', '/health/ready');
    // What it saw half a second ago it does not look at again.
    if (status === 200) return false;
    expect(status).toBe(503);
    const checks = body.checks as Record<string, { status: string; message?: string }>;
    expect(checks.database!.message).toStartWith('The database does not answer: ');
    // Until the work loop has met it as well.
    return checks.work_loop!.status === 'fail';
  });
  expect((await engine.request('GET', '/health/live')).status).toBe(200);
  const written = lines.map(({ msg }) => msg);
  expect(written.filter((line) => line.startsWith('The database could not be used')).length).toBeGreaterThan(
    0,
  );
  expect(written.filter((line) => line.startsWith('A call could not be answered')).length).toBeGreaterThan(0);
  expect(written.length).toBeLessThanOrEqual(MAX_LINES);

  proxy.heal();
  await until(async () => (await engine.request('GET', '/health/ready')).status === 200);
  expect((await engine.end(before)).status).toBe('completed');
  const again = await engine.client.start({ template, idempotency_key: 'away-2' });
  expect((await engine.end(again.execution_id)).status).toBe('completed');
  await database.until(
    'select bool_and(completed_at is not null) from workflow_executions where workflow_template_id is not null',
  );
  await assertInvariants(database.url);
  expect(lines.filter(({ level }) => level === 'error').length).toBeLessThanOrEqual(MAX_LINES);
  const isEnd = ({ msg }: { msg: string }) => /^The database answers again, after [\d.]+ s$/.test(msg);
  await until(() => lines.some(isEnd));
  expect(lines.filter(isEnd)).toHaveLength(1);
  const told = lines.filter(({ msg }) => /^(The database could not|A call could not)/.test(msg));
  const { host, pathname } = new URL(proxy.url);
  for (const { database: named, reason } of told) {
    expect(named).toBe(host + pathname);
    expect(reason).toBeString();
  }
  const silent = lines.filter(({ msg }) => msg.startsWith('This engine was silent'));
  for (const { msg } of silent) expect(msg).toContain('It is the only engine');
});

test('an engine whose database is not there yet waits for it', async () => {
  const away = await fixture.use(proxyTo(database.url), (made) => made.close());
  away.refuse();
  const waited = Promise.withResolvers<void>();
  const log = createLog({
    level: 'warn',
    pretty: false,
    secrets: [],
    destination: { write: (line) => line.includes('waiting for it') && waited.resolve() },
  });
  const starting = fixture.engine({ url: away.url, recordsUrl: database.url, name: 'late', log });
  await waited.promise;
  away.heal();
  const late = await starting;
  expect((await fetch(`${late.url}/health/ready`)).status).toBe(200);
});

test('a database that stands still is a failure in health, which does not wait for its answer', async () => {
  const still = await fixture.use(proxyTo(database.url), (made) => made.close());
  const waiting = await fixture.engine({ url: still.url, recordsUrl: database.url, name: 'still' });
  expect((await fetch(`${waiting.url}/health/ready`)).status).toBe(200);
  still.silence();
  await until(async () => {
    const { status, body } = await waiting.request('GET', '/health');
    if (status === 200) return false;
    const checks = body.checks as Record<string, { message?: string }>;
    // The client's own limit for an answer is ten times as long.
    expect(checks.database!.message).toContain('no answer within 2 s');
    return true;
  });
  still.heal();
  // Silent connections would keep the engine from stopping until their time limits.
  still.hangUp();
});
