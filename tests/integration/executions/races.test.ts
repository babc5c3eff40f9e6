/**
 * Joins that cancel losers, over HTTP with real handlers: what is called off ends, what is late counts no more.
 */
import { expect, test } from 'bun:test';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { JsonObject } from '../../../core/json/json.ts';
import { type EngineDatabase, statuses, stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { type HttpPeer, httpPeer } from '../../support/http-peer.ts';
import { assertInvariants } from '../../support/invariants.ts';
import { until } from '../../support/until.ts';

let database: EngineDatabase;
let engine: TestEngine;
let other: TestEngine;
let peer: HttpPeer;
/** Calls that the peer keeps waiting, by path. */
const kept = new Map<string, ServerResponse>();

fixtureForAll(async (fixture) => {
  peer = await fixture.use(
    httpPeer((request, response) => {
      kept.set(request.url!, response);
    }),
  );
  database = await fixture.database();
  const config = { EXECUTION_ENGINE_HTTP_ALLOW: '127.0.0.1', EXECUTION_ENGINE_STOP_GRACE: '2m' };
  // With one place of its own, so that the other one runs losers too.
  engine = await fixture.engine({ config: { ...config, EXECUTION_ENGINE_CONCURRENCY: '1' } });
  other = await fixture.engine({ config, name: 'other' });
});

const call = (path: string, more: JsonObject = {}): JsonObject => ({
  type: 'http',
  with: { url: `${peer.origin}${path}` },
  ...more,
});
const first = (needs: JsonObject[] | string[], more: JsonObject = {}): JsonObject => ({
  type: 'record',
  needs,
  join: { atLeast: 1, cancelLosers: true },
  ...more,
});

/** Waits until the peer is asked for a path. */
async function asked(path: string): Promise<ServerResponse> {
  await until(() => Promise.resolve(kept.has(path)));
  return kept.get(path)!;
}

const isRunning = (id: string, step: string) =>
  database.until('select true from test_runs where execution_id = $1 and step = $2', [id, step]);

test('the request of a loser is ended when another one has answered, and the execution completes', async () => {
  const id = await engine.start(
    await engine.publish({
      steps: {
        quick: call('/quick'),
        slow: call('/slow', { retry: { limit: 5, delay: '1ms' } }),
        after: { type: 'record', needs: [{ step: 'slow', on: 'always' }] },
        use: first(['quick', 'after'], { with: { value: '${{ inputs.quick.body }}' } }),
      },
    }),
  );
  const [quick, slow] = await Promise.all([asked('/quick'), asked('/slow')]);
  const ended = once(slow, 'close');
  quick.setHeader('content-type', 'application/json').end('"first"');
  const end = await engine.end(id);
  await ended;
  expect(slow.writableFinished).toBe(false);
  expect(end).toMatchObject({ status: 'completed', outputs: { use: 'first' }, error: null });
  expect(end.progress).toMatchObject({ total: 4, completed: 2, cancelled: 2 });
  expect(statuses(end)).toEqual({
    quick: 'completed',
    slow: 'cancelled',
    after: 'cancelled',
    use: 'completed',
  });
  expect(stepOf(end, 'use').received_inputs).toEqual([
    { key: 'quick', live: true, route: null },
    { key: 'after', live: false, route: null },
  ]);
  expect(stepOf(end, 'slow')).toMatchObject({ attempt_count: 1, error: null, outputs: null });
  await assertInvariants(database.url);
});

test('a step that serves another one too is not called off', async () => {
  const id = await engine.start(
    await engine.publish({
      steps: {
        quick: { type: 'record', with: { value: 'q' } },
        both: call('/both'),
        use: first(['quick', 'both']),
        report: { type: 'record', needs: ['both'], with: { value: '${{ inputs.both.status }}' } },
      },
    }),
  );
  const both = await asked('/both');
  await isRunning(id, 'use');
  both.end();
  const end = await engine.end(id);
  expect(statuses(end)).toEqual({
    quick: 'completed',
    both: 'completed',
    use: 'completed',
    report: 'completed',
  });
});

test('timers, retries and steps that wait for their turn end with the race', async () => {
  const end = await engine.run({
    steps: {
      quick: { type: 'delay', with: { for: 50 } },
      parked: { type: 'delay', with: { for: '1h' } },
      retrying: { type: 'flaky', with: { failures: 9 }, retry: { limit: 9, delay: '1h' } },
      behind: { type: 'record', needs: ['parked', 'retrying'] },
      use: first(['quick', 'behind']),
    },
  });
  expect(end.status).toBe('completed');
  expect(statuses(end)).toMatchObject({ parked: 'cancelled', retrying: 'cancelled', behind: 'cancelled' });
  await assertInvariants(database.url);
});

test('a result that comes after the join has fired is kept as late and not applied, also when all is over', async () => {
  const stale = await engine.metric('execution_engine_stale_completions_total');
  const staleElsewhere = await other.metric('execution_engine_stale_completions_total');
  const id = await engine.start(
    await engine.publish({
      steps: {
        quick: { type: 'gate', with: { name: 'late-quick' } },
        slow: { type: 'deaf', with: { name: 'late-slow', value: { paid: true } } },
        use: first(['quick', 'slow'], { with: { value: '${{ steps.slow.status }}' } }),
      },
    }),
  );
  await isRunning(id, 'slow');
  await database.openGate('late-quick');
  const end = await engine.end(id);
  expect(end.outputs).toEqual({ use: 'cancelled' });
  await database.openGate('late-slow');
  const { id: slow } = stepOf(end, 'slow');
  const kept = await database.until(
    `select count(*) = 1, min(attempt) as attempt, min(outcome) as outcome, min(outputs::text) as outputs
       from workflow_step_attempts where step_execution_id = $1`,
    [slow],
  );
  expect(kept).toMatchObject({ attempt: 1, outcome: 'late', outputs: '{"paid": true}' });
  const { body } = await engine.request('GET', `/api/v1/steps/${slow}`);
  expect(body).toMatchObject({ status: 'cancelled', outputs: null });
  expect(body.attempts).toMatchObject([
    { attempt: 1, outcome: 'late', error: null, outputs: { paid: true }, usage: null, turns: [] },
  ]);
  expect(await engine.end(id)).toEqual(end);
  const counted =
    (await engine.metric('execution_engine_stale_completions_total')) -
    stale +
    (await other.metric('execution_engine_stale_completions_total')) -
    staleElsewhere;
  expect(counted).toBe(1);
});

test('losers that run on another engine are called off there', async () => {
  const width = 12;
  const id = await engine.start(
    await engine.publish({
      steps: {
        quick: { type: 'gate', with: { name: 'wide-quick' } },
        ...Object.fromEntries(
          Array.from({ length: width }, (_, at) => [
            `slow${at}`,
            { type: 'until-aborted', concurrency: { key: 'race', limit: width } },
          ]),
        ),
        use: first(['quick', ...Array.from({ length: width }, (_, at) => `slow${at}`)]),
      },
    }),
  );
  await database.until(`select count(*) = $2 from test_runs where execution_id = $1 and step like 'slow%'`, [
    id,
    width,
  ]);
  await database.openGate('wide-quick');
  const end = await engine.end(id);
  expect(end.progress).toMatchObject({ completed: 2, cancelled: width });
  await database.until(`select count(*) = $2 from test_runs where execution_id = $1 and note = 'cancelled'`, [
    id,
    width,
  ]);
});
