/** What steps wait for that have not begun yet, as the status and the step say it. */
import { expect, test } from 'bun:test';
import type { JsonObject } from '../../../core/json/json.ts';
import { type EngineDatabase, type EngineProcess, stepOf } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

let database: EngineDatabase;
let engine: EngineProcess;

const fixture = fixtureForAll(async () => {
  database = await fixture.database();
  engine = await fixture.engineProcess({ config: { EXECUTION_ENGINE_CONCURRENCY: '2' } });
});

/** A step that runs until the gate of that name is opened. */
const held = (gate: string, more: JsonObject = {}) => ({
  type: 'interval',
  with: { note: gate, gate },
  ...more,
});

const running = (note: string, count: number) =>
  database.until('select count(*) = $2 from test_intervals where note = $1 and ended_at is null', [
    note,
    count,
  ]);

const queued = (id: string, count: number) =>
  database.until(
    `select count(*) = $2 from workflow_step_executions where workflow_execution_id = $1 and status = 'queued'`,
    [id, count],
  );

/** Starts the steps, of which one runs, and returns what the others are said to wait for. */
async function waitsBehind(gate: string, definition: JsonObject, inputs: JsonObject = {}) {
  const id = await engine.start(await engine.publish(definition), { inputs });
  await running(gate, 1);
  await queued(id, 1);
  const { steps } = await engine.client.status(id);
  const waiting = steps.filter(({ status }) => status === 'queued');
  const [first] = waiting;
  const { body } = await engine.request('GET', `/api/v1/steps/${first!.id}`);
  expect(body.waiting_for).toEqual(first!.waiting_for as JsonObject | null);
  await database.openGate(gate);
  expect((await engine.end(id)).status).toBe('completed');
  return waiting.map((step) => step.waiting_for);
}

test('a step behind a full limit waits for it', async () => {
  const concurrency = { key: 'crm', limit: 1 };
  const steps = { a: held('crm', { concurrency }), b: held('crm', { concurrency }) };
  expect(await waitsBehind('crm', { steps })).toEqual([{ kind: 'limit', key: 'crm', limit: 1 }]);
});

test('the key of a limit may come from the input', async () => {
  const concurrency = { key: 'crm-${{ input.tenant }}', limit: 1 };
  const steps = { a: held('tenant', { concurrency }), b: held('tenant', { concurrency }) };
  const waits = await waitsBehind('tenant', { steps }, { tenant: 'blue' });
  expect(waits).toEqual([{ kind: 'limit', key: 'crm-blue', limit: 1 }]);
});

test('of a key that comes from an output nothing is said', async () => {
  const concurrency = { key: '${{ steps.tenant.output }}', limit: 1 };
  const tenant = { type: 'transform', with: { value: 'red' } };
  const both = held('output', { concurrency, needs: ['tenant'] });
  expect(await waitsBehind('output', { steps: { tenant, a: both, b: both } })).toEqual([null]);
});

test('a rate that is used up is a limit, too', async () => {
  const rateLimit = { key: 'mails', limit: 1, per: '1h' };
  const id = await engine.start(
    await engine.publish({ steps: { a: { type: 'noop', rateLimit }, b: { type: 'noop', rateLimit } } }),
  );
  await database.until(
    `select array_agg(status order by status) = '{completed,queued}' from workflow_step_executions where workflow_execution_id = $1`,
    [id],
  );
  const { steps } = await engine.client.status(id);
  const waits = steps.map(({ waiting_for }) => waiting_for);
  expect(waits).toContainEqual({ kind: 'limit', key: 'mails', limit: 1 });
  await engine.request('POST', `/admin/executions/${id}/cancel`, {});
});

test('a step for which no place is free waits for one', async () => {
  const id = await engine.start(
    await engine.publish({
      steps: {
        a: held('slot'),
        b: held('slot'),
        c: held('slot'),
      },
    }),
  );
  await running('slot', 2);
  const shown = await engine.client.status(id);
  const slots = shown.steps.filter(({ status }) => status === 'queued').map(({ waiting_for }) => waiting_for);
  expect(slots.length).toBeGreaterThan(0);
  expect(new Set(slots.map((wait) => wait?.kind))).toEqual(new Set(['slot']));
  await database.openGate('slot');
  expect((await engine.end(id)).status).toBe('completed');
});

test('a join that lacks an input waits for its inputs', async () => {
  const id = await engine.start(
    await engine.publish({
      steps: { a: { type: 'noop' }, b: held('join'), join: { type: 'merge', needs: ['a', 'b'] } },
    }),
  );
  await database.until(
    `select count(*) = 1 from workflow_step_executions where workflow_execution_id = $1 and status = 'waiting_inputs'`,
    [id],
  );
  expect(stepOf(await engine.client.status(id), 'join').waiting_for).toEqual({ kind: 'inputs' });
  await database.openGate('join');
  expect((await engine.end(id)).status).toBe('completed');
});
