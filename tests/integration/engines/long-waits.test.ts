/**
 * Long times: engines that are off for two months, and steps that run for longer than pg-boss lets a job. Instead of
 * waiting the test moves what PostgreSQL holds into the past.
 */
import { expect, test } from 'bun:test';
import { startBoss } from '../../../queue/boss.ts';
import { type EngineDatabase, statuses, stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForEach } from '../../support/fixture.ts';
import { assertInvariants } from '../../support/invariants.ts';

let database: EngineDatabase;
let engine: TestEngine;

const fixture = fixtureForEach(async () => {
  database = await fixture.database();
  engine = await fixture.engine({ name: 'first' });
});

/** As if all that is written had been written this much earlier. */
async function age(interval: string): Promise<void> {
  const { pool } = database;
  await pool.query(`
    update pgboss.job set start_after = start_after - interval '${interval}', created_on = created_on - interval '${interval}',
           started_on = started_on - interval '${interval}', keep_until = keep_until - interval '${interval}';
    update workflow_executions set created_at = created_at - interval '${interval}',
           started_at = started_at - interval '${interval}', start_after = start_after - interval '${interval}';
    update workflow_step_executions set created_at = created_at - interval '${interval}',
           started_at = started_at - interval '${interval}', parked_at = parked_at - interval '${interval}',
           resume_at = resume_at - interval '${interval}'`);
}

/** What pg-boss does from time to time by itself: expire, retry, delete. */
async function supervise(): Promise<void> {
  const boss = await startBoss({ url: database.url, schema: 'pgboss', onError: () => {} });
  await database.pool.query(
    "update pgboss.queue set maintain_on = now() - interval '1 day', monitor_on = now() - interval '1 day'",
  );
  await boss.supervise();
  await boss.stop({ graceful: false, close: true });
}

test('what fell due in two months without any engine happens once when one is there again', async () => {
  const waits = await engine.publish({
    steps: {
      delay: { type: 'delay', with: { for: '59d' } },
      after: { type: 'record', needs: ['delay'] },
      retry: { type: 'flaky', retry: { limit: 1, delay: '59d', maxDelay: '60d', jitter: false } },
    },
  });
  const overdue = await engine.publish({
    timeout: '59d',
    steps: { g: { type: 'delay', with: { for: '90d' } } },
  });
  const one = await engine.publish({ steps: { a: { type: 'record' } } });
  const ids = [
    await engine.start(waits),
    await engine.start(overdue),
    await engine.start(one, { start_after: '59d' }),
  ];
  const later = await engine.start(one, { start_after: '61d' });
  await database.until(
    `select count(*) = 3 from workflow_step_executions where status in ('waiting', 'retrying')`,
  );
  await engine.stop();
  await age('60 days');
  await supervise();
  await assertInvariants(database.url, { allFinal: false });

  engine = await fixture.engine({ name: 'second' });
  const [waited, timedOut, started] = await Promise.all(ids.map((id) => engine.end(id)));
  expect(statuses(waited!)).toEqual({ delay: 'completed', after: 'completed', retry: 'completed' });
  expect(stepOf(waited!, 'retry').attempt_count).toBe(2);
  expect([timedOut!.status, started!.status]).toEqual(['timed_out', 'completed']);
  const runs = (await database.runs()).filter(({ engine: name }) => name === 'second');
  expect(runs.map(({ step, attempt }) => `${step} ${attempt}`).sort()).toEqual(['a 1', 'after 1', 'retry 2']);
  const { rows } = await database.pool.query('select status from workflow_executions where id = $1', [later]);
  expect(rows).toEqual([{ status: 'pending' }]);
  await engine.client.cancel(later);
});

test('a step that runs for longer than a job may be active is run once', async () => {
  const id = await engine.start(
    await engine.publish({
      steps: { long: { type: 'gate', with: { name: 'long' } }, after: { type: 'record', needs: ['long'] } },
    }),
  );
  await database.until('select count(*) = 1 from test_runs where execution_id = $1', [id]);
  const { rows } = await database.pool.query(
    `select count(*)::integer as active from pgboss.job where state = 'active'`,
  );
  expect(rows[0].active).toBe(0);
  await age('20 minutes');
  await supervise();
  await engine.run({ steps: { other: { type: 'record' } } });
  await database.openGate('long');
  expect((await engine.end(id)).status).toBe('completed');
  expect((await database.runs(id)).map(({ step, attempt }) => [step, attempt])).toEqual([
    ['long', 1],
    ['after', 1],
  ]);
});
