/**
 * Connections that fall silent without being closed, as behind a firewall that forgot them.
 */
import { expect, test } from 'bun:test';
import { type EngineDatabase, stepOf } from '../../support/engine.ts';
import { proxyTo } from '../../support/faults/proxy.ts';
import { fixtureForAll } from '../../support/fixture.ts';

let database: EngineDatabase;

const fixture = fixtureForAll(async () => {
  database = await fixture.database();
});

test('an engine all of whose connections fell silent makes new ones, and loses no step to its peer', async () => {
  const proxy = await fixture.use(proxyTo(database.url), (made) => made.close());
  const silent = await fixture.engine({ url: proxy.url, recordsUrl: database.url, name: 'silent' });
  const id = await silent.start(
    await silent.publish({
      steps: {
        g: { type: 'gate', with: { name: 'silent', value: 1 } },
        after: { type: 'record', needs: ['g'] },
      },
    }),
  );
  await database.until('select count(*) = 1 from test_runs where execution_id = $1', [id]);
  const peer = await fixture.engine({ name: 'peer' });
  await database.until(
    `select count(*) = 2 from pg_stat_activity
      where datname = current_database() and application_name like 'engine/%/pulse'
        and backend_start < now() - interval '5 seconds'`,
  );
  const { rows } = await database.pool.query('select now() as at');
  proxy.silence();
  proxy.heal();
  await database.until(
    `select (select count(*) from execution_engines where heartbeat_at > $2::timestamptz + interval '1 second') = 2
         or exists (select from workflow_step_executions where workflow_execution_id = $1 and attempt_count > 1)`,
    [id, rows[0].at],
  );
  await database.openGate('silent');
  const end = await peer.end(id);
  expect(end.status).toBe('completed');
  expect(stepOf(end, 'g').attempt_count).toBe(1);
});
