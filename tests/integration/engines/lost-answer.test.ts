/**
 * PostgreSQL commits, and the engine does not get the answer.
 */
import { expect, test } from 'bun:test';
import { chance } from '../../../chaos/chance.ts';
import { PostgresProxy } from '../../../chaos/stage/proxy.ts';
import { stepOf } from '../../support/engine.ts';
import { fixtureForEach } from '../../support/fixture.ts';

const fixture = fixtureForEach();

test('steps that were taken over by a commit whose answer was lost run at once', async () => {
  const database = await fixture.database();
  const target = new URL(database.url);
  const proxy = await fixture.use(
    PostgresProxy.listen(() => Number(target.port), chance(1, 'lost answer')),
    (made) => made.close(),
  );
  const url = new URL(database.url);
  url.hostname = '127.0.0.1';
  url.port = String(proxy.port);
  const killed = await fixture.engineProcess({ name: 'killed' });
  const id = await killed.start(
    await killed.publish({ steps: { g: { type: 'gate', with: { name: 'taken' } } } }),
  );
  await database.until('select count(*) = 1 from test_runs where execution_id = $1', [id]);
  const heir = await fixture.engine({ name: 'heir', url: url.href, recordsUrl: database.url });
  proxy.faults.eat = 1;
  killed.kill('SIGKILL');
  await database.until(
    'select claimed_by = $2 from workflow_step_executions where workflow_execution_id = $1',
    [id, heir.engine.id],
  );
  // The search for forgotten claims leaves this one alone: only the commit that is run again can find it.
  await database.pool.query(
    `update workflow_step_executions set updated_at = now() + interval '1 hour' where workflow_execution_id = $1`,
    [id],
  );
  proxy.faults.eat = 0;
  await database.until(`select count(*) = 1 from test_runs where execution_id = $1 and engine = 'heir'`, [
    id,
  ]);
  await database.openGate('taken');
  const end = await heir.end(id);
  expect([end.status, stepOf(end, 'g').attempt_count]).toEqual(['completed', 2]);
});
