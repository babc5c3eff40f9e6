import { test } from 'bun:test';
import { engineDatabase, startTestEngine } from '/work/main/tests/support/engine.ts';
test('x', async () => {
  const database = await engineDatabase();
  const engine = await startTestEngine({ url: database.url, config: { EXECUTION_ENGINE_CONCURRENCY: '2' } });
  const retry = { limit: 3, delay: 1, jitter: false };
  const variants: Record<string, any> = {
    plain: { start: { type: 'noop' }, left: { type: 'noop', needs: ['start'] }, right: { type: 'noop', needs: ['start'] }, meet: { type: 'merge', needs: ['left', 'right'] } },
    guard: { start: { type: 'noop' }, a: { type: 'noop', needs: ['start'] }, never: { type: 'noop', needs: ['start'], when: false }, b: { type: 'noop', needs: ['start'] } },
    flaky: { start: { type: 'noop' }, left: { type: 'flaky', needs: ['start'], with: { failures: 2 }, retry }, right: { type: 'noop', needs: ['start'] } },
    both: { start: { type: 'noop' }, left: { type: 'flaky', needs: ['start'], with: { failures: 2 }, retry }, right: { type: 'record', needs: ['start'] }, never: { type: 'record', needs: ['start'], when: false }, meet: { type: 'merge', needs: ['left', 'right'] } },
  };
  for (let round = 0; round < 3; round++)
  for (const [name, steps] of Object.entries(variants)) {
    const t0 = performance.now();
    const c0 = await engine.metric('execution_engine_commit_batch_size_count');
    const t = await engine.publish({ steps });
    const ids = await Promise.all(Array.from({ length: 5 }, () => engine.start(t)));
    const timer = setTimeout(async () => {
      const { rows } = await database.pool.query(`select e.status es, t.key, s.status, s.attempt_count a, s.retry_count, s.resume_at, s.claimed_by is not null as claimed, s.workflow_execution_id from workflow_executions e join workflow_step_executions s on s.workflow_execution_id=e.id join workflow_step_templates t on t.id=s.step_template_id where e.completed_at is null`);
      console.log(name, rows);
      console.log((await database.pool.query(`select name, state, data, priority, start_after, start_after <= now() as due from pgboss.job`)).rows);
    }, 3000);
    for (const id of ids) await engine.end(id);
    clearTimeout(timer);
    console.log(round, name, Math.round(performance.now() - t0), await engine.metric('execution_engine_commit_batch_size_count') - c0, await engine.metric('execution_engine_running_slots'));
  }
  await engine.stop(); await database.drop();
}, 120_000);
