/**
 * Steps that wait for the outside, inside the items of a foreach: each is answered on its own.
 */
import { expect, test } from 'bun:test';
import type { JsonObject } from '../../../core/json/json.ts';
import { type EngineDatabase, stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

let database: EngineDatabase;
let engine: TestEngine;

fixtureForAll(async (fixture) => {
  database = await fixture.database();
  engine = await fixture.engine({ config: { EXECUTION_ENGINE_PUBLIC_URL: 'https://engine.example' } });
});

const steps = {
  signalled: { type: 'wait', with: { signal: 'go' } },
  called: { type: 'webhook', with: {} },
  asked: { type: 'form', with: { title: 'item ${{ item }}' } },
  url: { type: 'transform', with: { value: '${{ execution.hooks.called }}' } },
};
const output =
  '${{ [steps.signalled.output.at, steps.called.output.body.at, steps.asked.output, steps.url.output] }}';

const post = async (path: string, body: JsonObject) => {
  const headers = { 'content-type': 'application/json' };
  const { status } = await fetch(engine.url + path, { method: 'POST', headers, body: JSON.stringify(body) });
  return status;
};

test('signals, requests and answers reach their own item, and its expressions read its own URL', async () => {
  const each = { type: 'foreach', with: { items: 3, steps, output } };
  const id = await engine.start(await engine.publish({ steps: { each } }));
  await database.until(
    `select count(*) = 9 from workflow_step_executions
      where workflow_execution_id = $1 and status = 'waiting' and scope <> ''`,
    [id],
  );
  const { id: holder } = stepOf(await engine.client.status(id), 'each');
  const { body } = await engine.request('GET', `/api/v1/steps/${holder}`);
  expect(body).toMatchObject({
    waiting_for: { kind: 'scopes', open: 3 },
    scopes: { total: 3, running: 3, completed: 0 },
  });
  const urls: string[] = [];
  for (const at of [0, 1, 2]) {
    const status = await engine.client.status(id, { scope: `each[${at}]` });
    const url = String(stepOf(status, 'called').waiting_for?.url);
    urls.push(url);
    const narrowed = { execution_id: id, signal: 'go', payload: { at }, scope: `each[${at}]` };
    expect(await post('/api/v1/execution/signal', narrowed)).toBe(200);
    expect(await post(new URL(url).pathname, { at })).toBe(202);
    expect(await post(`/api/v1/steps/${stepOf(status, 'asked').id}/complete`, { output: at })).toBe(200);
  }
  const end = await engine.end(id);
  expect(end).toMatchObject({ status: 'completed' });
  expect(end.outputs).toEqual({ each: [0, 1, 2].map((at) => [at, at, at, urls[at]!]) });
  expect(new Set(urls).size).toBe(3);
});
