/**
 * Acts on executions are kept in their commits.
 */
import { expect, test } from 'bun:test';
import { readActs } from '../../../db/acts/acts.ts';
import type { EngineDatabase, TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

let database: EngineDatabase;
let engine: TestEngine;

fixtureForAll(async (own) => {
  database = await own.database();
  engine = await own.engine();
});

test.each([
  ['stop', '/api/v1/execution/stop', (id: string) => ({ execution_id: id })],
  ['cancel', '/admin/executions/:id/cancel', () => ({})],
] as const)('a %s is kept once, however often it is asked for', async (act, path, body) => {
  const template = await engine.publish({ steps: { wait: { type: 'wait', with: { signal: 'never' } } } });
  const id = await engine.start(template);
  await database.until(
    `select status = 'waiting' from workflow_step_executions where workflow_execution_id = $1`,
    [id],
  );
  const call = () => engine.request('POST', path.replace(':id', id), body(id));
  expect((await call()).status).toBe(200);
  expect((await call()).status).toBe(200);
  const acts = await readActs(database.pool, id);
  expect(acts).toMatchObject([{ act, statusAfter: 'cancelled', scope: '', stepId: null, by: null }]);
});
