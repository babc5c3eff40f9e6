/**
 * Calls on all executions that fit a filter, and dry runs of calls that only name an execution.
 */
import { expect, test } from 'bun:test';
import type { JsonObject } from '../../../core/json/json.ts';
import type { EngineDatabase, TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

let database: EngineDatabase;
let engine: TestEngine;

fixtureForAll(async (own) => {
  database = await own.database();
  engine = await own.engine();
});

const bulk = (act: string, body: JsonObject) => engine.request('POST', `/admin/executions/${act}`, body);
const waits = {
  steps: { a: { type: 'wait', with: { signal: 'never' } }, b: { type: 'noop', needs: ['a'] } },
};

async function started(count: number): Promise<{ template: string; ids: string[] }> {
  const template = await engine.publish(waits);
  const ids = await Promise.all(Array.from({ length: count }, () => engine.start(template)));
  await database.until(
    `select count(*) = $2 from workflow_step_executions
      where workflow_execution_id = any($1::uuid[]) and status = 'waiting'`,
    [ids, count],
  );
  return { template, ids: ids.sort() };
}

const statusOf = async (id: string) => (await engine.client.status(id)).status;

test('each execution that fits is changed, and those that cannot be are named', async () => {
  const { template, ids } = await started(3);
  const [first] = ids;
  await engine.request('POST', `/admin/executions/${first}/cancel`, {});
  const filter = { template };
  const none = { more: false, next_cursor: null };
  const refused = [{ execution_id: first!, code: 'wrong_state' }];
  const dry = await bulk('pause', { filter, dry_run: true });
  expect(dry.body).toEqual({ dry_run: true, matched: 3, changed: 2, refused, ...none });
  expect(await statusOf(ids[1]!)).toBe('running');
  expect((await bulk('pause', { filter })).body).toEqual({ matched: 3, changed: 2, refused, ...none });
  expect((await bulk('pause', { filter })).body).toMatchObject({ matched: 3, changed: 0, refused });
  expect(await statusOf(ids[1]!)).toBe('paused');
  const resumed = await bulk('resume', { filter: { template, status: 'paused' } });
  expect(resumed.body).toEqual({ matched: 2, changed: 2, refused: [], ...none });
  expect((await bulk('cancel', { filter })).body).toMatchObject({ matched: 3, changed: 2, refused: [] });
  const retried = await bulk('retry', { filter: { template, status: 'cancelled' } });
  expect(retried.body).toEqual({ matched: 3, changed: 3, refused: [], ...none });
  expect(await statusOf(first!)).toBe('running');
  await bulk('cancel', { filter });
});

test('a call looks at so many, and the next goes on', async () => {
  const { template } = await started(3);
  const call = (cursor: JsonObject) => bulk('cancel', { filter: { template }, limit: 2, ...cursor });
  const { body } = await call({});
  expect(body).toMatchObject({ matched: 2, changed: 2, more: true });
  expect((await call({ cursor: body.next_cursor! })).body).toMatchObject({
    matched: 1,
    changed: 1,
    more: false,
  });
});

test.each([
  [{}, 'filter_required'],
  [{ filter: {} }, 'filter_required'],
  [{ filter: { status: 'odd' } }, 'validation_failed'],
  [{ filter: { template: 'x', limit: 3 } }, 'validation_failed'],
  [{ filter: { template: 'x' }, limit: 10_001 }, 'validation_failed'],
] as [JsonObject, string][])('%j is refused', async (body, code) => {
  for (const act of ['cancel', 'retry', 'pause', 'resume']) {
    const answer = await bulk(act, body);
    expect([answer.status, answer.body.code]).toEqual([422, code]);
  }
});

test('a dry run of stop, cancel, pause and resume changes nothing', async () => {
  const { ids } = await started(1);
  const [id] = ids;
  const empty = { dry_run: true, resets: [], starts: [], cancels: [], skips: [], warnings: [] };
  const dry = async (path: string, body: JsonObject) =>
    (await engine.request('POST', path, { ...body, dry_run: true })).body;
  const named = { execution_id: id! };
  expect(await dry('/api/v1/execution/stop', named)).toEqual({ ...empty, cancels: ['a', 'b'] });
  expect(await dry(`/admin/executions/${id}/cancel`, {})).toEqual({ ...empty, cancels: ['a', 'b'] });
  expect(await dry('/api/v1/execution/pause', named)).toEqual(empty);
  expect(await statusOf(id!)).toBe('running');
  await engine.request('POST', '/api/v1/execution/pause', named);
  await engine.client.signal({ execution_id: id!, signal: 'never' });
  await database.until(
    `select count(*) = 1 from workflow_step_executions where workflow_execution_id = $1 and status = 'queued'`,
    [id],
  );
  expect(await dry('/api/v1/execution/resume', named)).toEqual({ ...empty, starts: ['b'] });
  expect(await statusOf(id!)).toBe('paused');
  await engine.request('POST', '/api/v1/execution/resume', named);
  expect((await engine.end(id!)).status).toBe('completed');
  expect(await dry('/api/v1/execution/stop', named)).toEqual(empty);
});
