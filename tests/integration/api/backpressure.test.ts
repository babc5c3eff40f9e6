/**
 * More starts than the engine can work off: some are answered 429, and what was taken is there exactly once.
 *
 * Steps wait at a gate that the tests open, so that what lines up stays there until then.
 */
import { describe, expect, test } from 'bun:test';
import { createEngineClient } from '../../../client/engine-client.ts';
import type { EngineDatabase, TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { assertInvariants } from '../../support/invariants.ts';

const SLOTS = 2;
const LIMIT = 50;
const FLOOD = 2_000;
const BODY_BYTES = 100_000;
const INTAKE_BYTES = 4 * 1_024 * 1_024;
const START = '/api/v1/execution/start';

let database: EngineDatabase;
let engine: TestEngine;

fixtureForAll(async (fixture) => {
  database = await fixture.database();
  engine = await fixture.engine({
    config: {
      EXECUTION_ENGINE_CONCURRENCY: String(SLOTS),
      EXECUTION_ENGINE_MAX_BACKLOG: String(LIMIT),
      EXECUTION_ENGINE_MAX_INTAKE_BYTES: String(INTAKE_BYTES),
    },
  });
});

const gated = (name: string) => ({ steps: { wait: { type: 'gate', with: { name } } } });

async function statusCounts(template: string): Promise<Record<string, number>> {
  const { rows } = await database.pool.query(
    `select e.status, count(*)::integer as count
       from workflow_executions e join workflow_templates t on t.id = e.workflow_template_id
      where t.name = $1 group by e.status`,
    [template],
  );
  return Object.fromEntries(rows.map(({ status, count }) => [status, count]));
}

async function allOver(template: string, gate: string): Promise<void> {
  await database.openGate(gate);
  await database.until(
    `select bool_and(e.completed_at is not null)
       from workflow_executions e join workflow_templates t on t.id = e.workflow_template_id where t.name = $1`,
    [template],
  );
}

/** How many of the answers have each status; anything that is no answer is thrown. */
function tally(answers: readonly { status: number }[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

/** Until the engine has seen that there is room. */
async function startsAreTaken(template: string): Promise<void> {
  for (;;) {
    const { status } = await engine.request('POST', START, { template });
    if (status === 202) return;
    expect(status).toBe(429);
  }
}

/** Starts until there is no room: the engine may have counted one twice, and looks again. */
async function fill(template: string): Promise<{ status: number }[]> {
  const answers: { status: number }[] = [];
  for (;;) {
    const answer = await engine.request('POST', START, { template });
    answers.push(answer);
    if (answer.status !== 429) expect(answer.status).toBe(202);
    else if (((await statusCounts(template)).pending ?? 0) >= LIMIT) return answers;
  }
}

async function refusals(reason: string): Promise<number> {
  const text = await (await fetch(`${engine.url}/metrics`)).text();
  const line = new RegExp(`^execution_engine_requests_refused_total\\{reason="${reason}"\\} (\\d+)$`, 'm');
  return Number(line.exec(text)?.[1] ?? 0);
}

describe('a full backlog', () => {
  test('is filled to the limit; then starts are 429 with the depth, the limit and when to come back', async () => {
    const template = await engine.publish(gated('limit'));
    const keyed = { template, inputs: { n: 1 }, idempotency_key: 'before' };
    const first = await engine.request('POST', START, keyed);
    expect(first.status).toBe(202);
    const answers = [first, ...(await fill(template))];
    const before = await statusCounts(template);
    expect(before).toEqual({ running: expect.any(Number), pending: LIMIT });
    expect(tally(answers)).toEqual({ 202: before.running! + LIMIT, 429: expect.any(Number) });

    const refused = await fetch(engine.url + START, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ template }),
    });
    expect(refused.status).toBe(429);
    expect(refused.headers.get('content-type')).toBe('application/problem+json');
    expect(refused.headers.get('retry-after')).toMatch(/^[1-9]\d*$/);
    expect(await refused.json()).toMatchObject({
      code: 'too_many_requests',
      detail: expect.stringMatching(/\b5\d executions are pending, and the limit is 50\b/),
    });
    expect(await refusals('backlog')).toBeGreaterThanOrEqual(2);

    const many = await engine.request('POST', `${START}-many`, { items: [{ template }, { template }] });
    expect(many.status).toBe(429);
    expect(await statusCounts(template)).toEqual(before);

    // What is there already is answered as ever, and nothing else is held up.
    const again = await engine.request('POST', START, keyed);
    expect([again.status, again.body.execution_id]).toEqual([200, first.body.execution_id!]);
    const other = await engine.request('POST', START, { ...keyed, inputs: { n: 2 } });
    expect(other.status).toBe(409);
    expect((await engine.request('POST', START, { template, idempotency_key: 'after' })).status).toBe(429);
    expect((await engine.client.status(String(first.body.execution_id))).status).toBe('running');

    await allOver(template, 'limit');
    await startsAreTaken(template);
    await allOver(template, 'limit');
    await assertInvariants(database.url);
  });

  test('a client that is refused comes back once, when the engine said', async () => {
    const template = await engine.publish(gated('client'));
    await fill(template);
    const waited: number[] = [];
    const sleep = async (ms: number) => {
      waited.push(ms);
      await allOver(template, 'client');
      await startsAreTaken(template);
    };
    const client = createEngineClient({ url: engine.url, sleep });
    expect((await client.start({ template })).created).toBe(true);
    expect(waited).toEqual([1_000]);
    await allOver(template, 'client');
  });
});

test('of a flood every answer is a start or 429, and every start exists exactly once', async () => {
  const template = await engine.publish(gated('flood'));
  const body = (n: number) =>
    JSON.stringify({ template, idempotency_key: `flood-${n}`, inputs: { n, text: 'x'.repeat(BODY_BYTES) } });
  const post = async (n: number) => {
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(engine.url + START, { method: 'POST', headers, body: body(n) });
    const text = await response.text();
    return { n, status: response.status, id: (JSON.parse(text) as { execution_id?: string }).execution_id };
  };
  const answers = await Promise.all(Array.from({ length: FLOOD }, (_, n) => post(n)));
  const counts = tally(answers);
  expect(Object.keys(counts).sort()).toEqual(['202', '429']);
  expect(counts[202]! + counts[429]!).toBe(FLOOD);

  const taken = answers.filter(({ status }) => status === 202);
  const { rows } = await database.pool.query(
    `select e.id, e.idempotency_key as key, (e.inputs ->> 'n')::integer as n, length(e.inputs ->> 'text') as length
       from workflow_executions e join workflow_templates t on t.id = e.workflow_template_id
      where t.name = $1`,
    [template],
  );
  const found = rows.map(({ id, key, n, length }) => `${id} ${key} ${n} ${length}`).sort();
  expect(found).toEqual(taken.map(({ n, id }) => `${id} flood-${n} ${n} ${BODY_BYTES}`).sort());
  expect((await statusCounts(template)).pending).toBeLessThanOrEqual(LIMIT);
  expect(await refusals('bytes')).toBeGreaterThan(0);

  await allOver(template, 'flood');
});
