/**
 * Workspaces and versions: who sees what, and which definition an execution goes on with.
 */
import { describe, expect, test } from 'bun:test';
import { type EngineCalls, type EngineDatabase, engineCalls, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { assertInvariants } from '../../support/invariants.ts';

const WORKSPACE_A = 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa';
const WORKSPACE_B = 'bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb';
const KEYS = { a: 'key-of-workspace-a', b: 'key-of-workspace-b', admin: 'key-of-the-operator' };

let database: EngineDatabase;
let engine: TestEngine;
let a: EngineCalls;
let b: EngineCalls;
let admin: EngineCalls;

fixtureForAll(async (fixture) => {
  database = await fixture.database();
  const keys = `${KEYS.a}=${WORKSPACE_A},${KEYS.b}=${WORKSPACE_B},${KEYS.admin}=admin`;
  engine = await fixture.engine({ config: { EXECUTION_ENGINE_API_KEYS: keys } });
  a = engineCalls(engine.url, KEYS.a);
  b = engineCalls(engine.url, KEYS.b);
  admin = engineCalls(engine.url, KEYS.admin);
});

const value = (what: string) => ({ steps: { a: { type: 'record', with: { value: what } } } });

describe('a workspace', () => {
  test('does not see, stop or list the executions of another, and the operator sees all', async () => {
    const end = await a.run(value('of a'));
    const id = end.execution_id;
    const calls = [
      b.request('GET', `/api/v1/execution/status?execution_id=${id}`),
      b.request('POST', '/api/v1/execution/stop', { execution_id: id }),
    ];
    for (const { status, body } of await Promise.all(calls))
      expect({ status, code: body.code }).toEqual({ status: 404, code: 'execution_not_found' });
    expect((await admin.client.status(id)).status).toBe('completed');
    const list = await admin.client.listExecutions({ workspace_id: WORKSPACE_A });
    expect(list.data.map(({ execution_id }) => execution_id)).toContain(id);
    const ofOther = await admin.client.listExecutions({ workspace_id: WORKSPACE_B, limit: 500 });
    expect(ofOther.data.map(({ execution_id }) => execution_id)).not.toContain(id);
    await assertInvariants(database.url);
  });

  test('has names and idempotency keys of its own', async () => {
    await a.publish({ name: 'shared-name', ...value('a') });
    await b.publish({ name: 'shared-name', ...value('b') });
    const started = await Promise.all(
      [a, b].map((calls) => calls.client.start({ template: 'shared-name', idempotency_key: 'same' })),
    );
    expect(started.map(({ created }) => created)).toEqual([true, true]);
    expect((await a.end(started[0]!.execution_id)).outputs).toEqual({ a: 'a' });
    expect((await b.end(started[1]!.execution_id)).outputs).toEqual({ a: 'b' });
    await assertInvariants(database.url);
  });

  test('cannot start a template of another, by name, by id or by naming the workspace', async () => {
    const name = await a.publish(value('private'));
    const { workflow_template_id } = await a.client.getTemplate(name);
    for (const item of [{ template: name }, { workflow_template_id }]) {
      const { status, body } = await b.request('POST', '/api/v1/execution/start', item);
      expect({ status, code: body.code }).toEqual({ status: 404, code: 'template_not_found' });
    }
    const named = await b.request('POST', '/api/v1/execution/start', {
      template: name,
      workspace_id: WORKSPACE_A,
    });
    expect([403, 404]).toContain(named.status);
    expect((await b.request('GET', `/api/v1/templates/${name}`)).status).toBe(404);
    expect((await b.request('DELETE', `/api/v1/templates/${name}`)).status).toBe(404);
    await assertInvariants(database.url);
  });

  test('without a key is nobody: 401', async () => {
    const { status } = await engineCalls(engine.url, 'a-key-that-nobody-has').request(
      'GET',
      '/api/v1/templates',
    );
    expect(status).toBe(401);
  });
});

describe('a version', () => {
  test('is what a running execution stays on, while new ones take the latest', async () => {
    const definition = (what: string) => ({
      name: 'versioned',
      steps: {
        hold: { type: 'gate', with: { name: 'versioned' } },
        after: { type: 'record', needs: ['hold'], with: { value: what } },
      },
    });
    await a.publish(definition('old'));
    const old = await a.start('versioned');
    await database.until('select true from test_runs where execution_id = $1', [old]);
    await a.publish(definition('new'));
    const young = await a.start('versioned');
    const chosen = await a.start('versioned', { version: 1 });
    await database.openGate('versioned');
    const ends = await Promise.all([old, young, chosen].map((id) => a.end(id)));
    expect(ends.map(({ version, outputs }) => [version, outputs])).toEqual([
      [1, { after: 'old' }],
      [2, { after: 'new' }],
      [1, { after: 'old' }],
    ]);
    expect(
      (await a.request('POST', '/api/v1/execution/start', { template: 'versioned', version: 3 })).status,
    ).toBe(404);
    await assertInvariants(database.url);
  });

  test('is made once: publishing the same again, also at the same moment, adds none', async () => {
    const same = { name: 'same', ...value('same') };
    const published = await Promise.all(
      Array.from({ length: 10 }, () => a.client.publish(JSON.stringify(same), 'application/json')),
    );
    expect(published.filter(({ created }) => created)).toHaveLength(1);
    expect(new Set(published.map(({ version }) => version))).toEqual(new Set([1]));
    const reordered = { name: 'same', steps: { z: { type: 'noop' }, ...same.steps } };
    const other = { name: 'same', steps: { ...same.steps, z: { type: 'noop' } } };
    expect((await a.client.publish(JSON.stringify(reordered), 'application/json')).version).toBe(2);
    expect((await a.client.publish(JSON.stringify(other), 'application/json')).version).toBe(3);
  });

  test('that is archived goes on where it runs, and is not found by a start', async () => {
    const name = await a.publish({
      steps: {
        hold: { type: 'gate', with: { name: 'archived' } },
        after: { type: 'record', needs: ['hold'] },
      },
    });
    const id = await a.start(name);
    const later = await a.start(name, { start_after: '30ms' });
    await database.until('select true from test_runs where execution_id = $1', [id]);
    await a.client.archiveTemplate(name);
    const { status, body } = await a.request('POST', '/api/v1/execution/start', { template: name });
    expect({ status, code: body.code }).toEqual({ status: 404, code: 'template_not_found' });
    await database.openGate('archived');
    expect((await a.end(id)).status).toBe('completed');
    expect((await a.end(later)).status).toBe('completed');
    await a.publish({ name, steps: { again: { type: 'record' } } });
    expect(await a.client.getTemplate(name)).toMatchObject({ version: 2, archived_at: null });
    expect((await a.end(await a.start(name))).version).toBe(2);
    await assertInvariants(database.url);
  });
});
