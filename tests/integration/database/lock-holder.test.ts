/**
 * A session that holds the row of an execution: the engine that waits for it says which session that is.
 */
import { expect, test } from 'bun:test';
import pg from 'pg';
import { createLog } from '../../../telemetry/log.ts';
import type { EngineDatabase, TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { until } from '../../support/until.ts';

let database: EngineDatabase;
let engine: TestEngine;
const lines: { level: string; msg: string; pid?: number; application?: string; since?: string }[] = [];

const fixture = fixtureForAll(async () => {
  database = await fixture.database();
  const destination = { write: (line: string) => void lines.push(JSON.parse(line)) };
  const log = createLog({ level: 'info', pretty: false, secrets: [], destination });
  engine = await fixture.engine({ log });
});

const holders = () => lines.filter(({ msg }) => msg.includes('keeps commits of this engine waiting'));

async function warnings(): Promise<string[]> {
  const { body } = await engine.request('GET', '/health');
  return (body.warnings as string[]).filter((each) => each.includes('keeps commits of this engine waiting'));
}

test('it is a line in the log, and a warning of health for as long as it holds the row', async () => {
  const template = await engine.publish({ steps: { g: { type: 'gate', with: { name: 'never' } } } });
  const id = await engine.start(template);
  await database.until('select count(*) = 1 from test_runs where execution_id = $1', [id]);
  const making = new pg.Client({ connectionString: database.url, application_name: 'nightly report' });
  const other = await fixture.use(making, (made) => made.end());
  await other.connect();
  await other.query('begin');
  const { rows } = await other.query(
    'select pg_backend_pid() as pid from workflow_executions where id = $1 for update',
    [id],
  );
  const { pid } = rows[0];
  const cancelled = engine.request('POST', `/admin/executions/${id}/cancel`, {});
  await until(async () => (await warnings()).length > 0);
  const [warning] = await warnings();
  for (const part of [`session ${pid} `, '"nightly report"', 'idle in transaction', 'in a transaction since'])
    expect(warning).toContain(part);
  expect(holders()).toHaveLength(1);
  expect(holders()[0]).toMatchObject({ level: 'warn', pid, application: 'nightly report' });
  await other.query('rollback');
  await cancelled;
  expect((await engine.end(id)).status).toBe('cancelled');
  await until(async () => (await warnings()).length === 0);
});
