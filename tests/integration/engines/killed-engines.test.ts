/**
 * Engines in processes of their own that are killed with steps in them, or told to end: the steps go on elsewhere, and no
 * process is left behind.
 */
import { expect, test } from 'bun:test';
import { type EngineProcess, stepOf } from '../../support/engine.ts';
import { commandOf, descendants, gone } from '../../support/faults/processes.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { httpPeer } from '../../support/http-peer.ts';
import { until } from '../../support/until.ts';

const fixture = fixtureForAll();

async function killed(process: EngineProcess): Promise<void> {
  process.kill('SIGKILL');
  await process.exited;
}

test('an innocent long step whose engine is killed three times completes, of your own as of a built-in type', async () => {
  const own = await fixture.database();
  const held: (() => void)[] = [];
  await using peer = await httpPeer((_request, response) => held.push(() => response.end('"answer"')));
  const start = () =>
    fixture.engineProcess({ url: own.url, config: { EXECUTION_ENGINE_HTTP_ALLOW: '127.0.0.1' } });
  let current = await start();
  const id = await current.start(
    await current.publish({
      steps: {
        sits: { type: 'sits', with: { name: 'long' } },
        asks: { type: 'http', with: { url: peer.origin } },
      },
    }),
  );
  for (let run = 1; run <= 3; run += 1) {
    await own.until('select count(*) = $2 from test_runs where execution_id = $1', [id, run]);
    await until(() => peer.requests.length >= run);
    await killed(current);
    current = await start();
  }
  await own.until('select count(*) = 4 from test_runs where execution_id = $1', [id]);
  await until(() => peer.requests.length >= 4);
  await own.openGate('long');
  for (const answer of held) answer();
  const end = await current.end(id);
  expect(end.status).toBe('completed');
  expect(stepOf(end, 'sits')).toMatchObject({ attempt_count: 4, outputs: 'through' });
  expect(stepOf(end, 'asks').attempt_count).toBe(4);
  const { rows } = await own.pool.query(
    `select t.key, s.retry_count, s.crash_count
       from workflow_step_executions s join workflow_step_templates t on t.id = s.step_template_id order by t.key`,
  );
  // A step of your own ran beside the engine; a built-in one may be why it died, until it runs beside the engine too.
  expect(rows).toEqual([
    { key: 'asks', retry_count: 0, crash_count: 2 },
    { key: 'sits', retry_count: 0, crash_count: 0 },
  ]);
});

test('many built-in steps whose engine was killed twice share a few processes', async () => {
  const own = await fixture.database();
  const held: (() => void)[] = [];
  await using peer = await httpPeer((_request, response) => held.push(() => response.end('"answer"')));
  const start = () =>
    fixture.engineProcess({ url: own.url, config: { EXECUTION_ENGINE_HTTP_ALLOW: '127.0.0.1' } });
  let current = await start();
  const asks = { type: 'http', with: { url: peer.origin } };
  const steps = Object.fromEntries(Array.from({ length: 20 }, (_, at) => [`s${at}`, asks]));
  const id = await current.start(await current.publish({ steps }));
  for (let run = 1; run <= 2; run += 1) {
    await until(() => peer.requests.length >= 20 * run);
    await killed(current);
    current = await start();
  }
  await until(() => peer.requests.length >= 60);
  const hosts = descendants(current.pid).filter((pid) => commandOf(pid).includes('hosts/child.ts'));
  expect(hosts.length).toBeLessThanOrEqual(6);
  for (const answer of held) answer();
  const end = await current.end(id);
  expect(end.status).toBe('completed');
  expect(new Set(end.steps.map(({ attempt_count }) => attempt_count))).toEqual(new Set([3]));
});

test('an engine that is killed leaves no process behind, also none that never yields', async () => {
  const own = await fixture.database();
  const process = await fixture.engineProcess({ url: own.url });
  const id = await process.start(
    await process.publish({
      steps: {
        sits: { type: 'sits', with: { name: 'nobody-opens' } },
        loops: { type: 'bad', with: { kind: 'loop' } },
        script: { type: 'script', with: { code: 'return 1;' } },
      },
    }),
  );
  await own.until('select count(*) = 2 from test_runs where execution_id = $1', [id]);
  const left = descendants(process.pid);
  expect(left.length).toBeGreaterThan(0);
  await killed(process);
  await gone(left);
  await (await fixture.engine({ url: own.url })).client.cancel(id);
});

test('an engine that is told to end takes its processes along', async () => {
  const own = await fixture.database();
  const process = await fixture.engineProcess({
    url: own.url,
    config: { EXECUTION_ENGINE_DRAIN_GRACE: '200ms' },
  });
  const id = await process.start(
    await process.publish({ steps: { loops: { type: 'bad', with: { kind: 'loop' } } } }),
  );
  await own.until('select count(*) = 1 from test_runs where execution_id = $1', [id]);
  const left = descendants(process.pid);
  process.kill('SIGTERM');
  expect(await process.exited).toBe(0);
  await gone(left);
  const { rows } = await own.pool.query(
    'select status, attempt_count, crash_count from workflow_step_executions',
  );
  expect(rows).toEqual([{ status: 'queued', attempt_count: 0, crash_count: 0 }]);
  await (await fixture.engine({ url: own.url })).client.cancel(id);
});
