import { describe, expect, test } from 'bun:test';
import {
  createMetrics,
  type Metrics,
  replaceSamples,
  setActiveExecutions,
  setActiveSteps,
} from './metrics.ts';

function moveAll(metrics: Metrics): void {
  metrics.executionsStarted.inc({ template: 'orders' });
  metrics.executionsFinished.inc({ status: 'completed', template: 'orders' });
  metrics.executionDuration.observe({ template: 'orders' }, 2);
  metrics.stepsFailed.inc({ template: 'orders' });
  metrics.stepsFinished.inc({ type: 'http', status: 'failed' });
  metrics.stepRetries.inc({ type: 'http' });
  setActiveExecutions(metrics, { running: 3 });
  setActiveSteps(metrics, { queued: 5 });
  replaceSamples(metrics.queueDepth, [{ labels: { queue: 'execution' }, value: 7 }]);
  replaceSamples(metrics.queueOldestAge, [{ labels: { queue: 'execution' }, value: 0.5 }]);
  metrics.timerLateness.set(0);
  metrics.claims.inc({ queue: 'execution' }, 10);
  metrics.staleCompletions.inc();
  metrics.callbackCalls.inc({ result: 'failed' });
  metrics.handlerDuration.observe({ type: 'http' }, 0.2);
  metrics.sandboxKills.inc({ reason: 'timeout' });
  metrics.runningSteps.set(1);
  metrics.capacity.set(100);
  metrics.transitionDuration.observe(0.002);
  metrics.commitBatchSize.observe(20);
  metrics.poolConnections.set({ pool: 'work', state: 'idle' }, 4);
  metrics.httpRequestDuration.observe({ route: '/health', method: 'GET', status: 200 }, 0.001);
}

describe('metrics', () => {
  test('carry the prefix of the engine or the usual names of the runtime', async () => {
    const metrics = createMetrics({ version: '1.2.3' });
    moveAll(metrics);
    const text = await metrics.render();
    const names = [...text.matchAll(/^# TYPE (\S+)/gm)].map((match) => match[1]!);
    expect(names.filter((name) => !/^(execution_engine|process|nodejs)_/.test(name))).toEqual([]);
    expect(text).toContain('execution_engine_active_executions{status="running"} 3');
    expect(text).toContain('execution_engine_active_executions{status="paused"} 0');
    expect(text).toMatch(/execution_engine_build_info\{version="1.2.3",runtime="(bun|node) [\d.]+"\} 1/);
  });

  test('pass the lint of promtool', async () => {
    const promtool = Bun.which('promtool');
    if (promtool === null) return;
    const metrics = createMetrics({ version: '1.2.3' });
    moveAll(metrics);
    const lint = Bun.spawn([promtool, 'check', 'metrics'], {
      stdin: new Blob([await metrics.render()]),
      stderr: 'pipe',
      stdout: 'pipe',
    });
    const said = (await new Response(lint.stdout).text()) + (await new Response(lint.stderr).text());
    expect([await lint.exited, said]).toEqual([0, '']);
  });

  test('of two engines in a process do not mix', async () => {
    const [one, two] = [createMetrics({ version: '1' }), createMetrics({ version: '1' })];
    one.staleCompletions.inc(5);
    expect(await two.render()).toContain('execution_engine_stale_completions_total 0');
  });
});

describe('a collector', () => {
  test('is asked at every scrape and replaces what it set before', async () => {
    const metrics = createMetrics({ version: '1' });
    const queues = ['first', 'second'];
    metrics.onCollect([metrics.queueDepth], async () =>
      replaceSamples(metrics.queueDepth, [{ labels: { queue: queues.shift()! }, value: 1 }]),
    );
    expect(await metrics.render()).toContain('queue_depth{queue="first"} 1');
    const second = await metrics.render();
    expect(second).toContain('queue_depth{queue="second"} 1');
    expect(second).not.toContain('first');
  });

  test('that fails is counted and told, and leaves no stale figure behind', async () => {
    const told: unknown[] = [];
    const metrics = createMetrics({ version: '1', onCollectError: (...error) => told.push(error) });
    metrics.poolConnections.set({ pool: 'work', state: 'idle' }, 4);
    setActiveSteps(metrics, { running: 9 });
    const failure = new Error('no database');
    const remove = metrics.onCollect([metrics.activeSteps], () => Promise.reject(failure));
    const text = await metrics.render();
    expect(text).not.toContain('active_steps{');
    expect(text).toContain('database_pool_connections{pool="work",state="idle"} 4');
    expect(text).toContain('execution_engine_collect_errors_total 1');
    expect(told).toEqual([[failure, ['execution_engine_active_steps']]]);
    remove();
    expect(await metrics.render()).toContain('execution_engine_collect_errors_total 1');
  });
});
