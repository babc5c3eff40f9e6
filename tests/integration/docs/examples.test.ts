/** Every example runs as its comments say, each branch of it, on a real engine with real services. */
import { describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Json, JsonObject } from '../../../core/json/json.ts';
import { type MockServices, startMockServices } from '../../../examples/mock-services.ts';
import type { ExecutionStatusBody } from '../../../services/execution-answers.ts';
import { statuses, stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { until } from '../../support/until.ts';

const FOLDER = join(import.meta.dir, '..', '..', '..', 'examples');

let engine: TestEngine;
/** It may not call private addresses. */
let strict: TestEngine;
let services: MockServices;

fixtureForAll(
  async (fixture) => {
    await fixture.database();
    const other = await fixture.database();
    strict = await fixture.engine({ url: other.url });
    services = await fixture.use(startMockServices());
    engine = await fixture.engine({
      config: { EXECUTION_ENGINE_HTTP_ALLOW: '127.0.0.1' },
    });
  },
  { allFinal: false },
);

/** Publishes an example and runs it to its end. */
async function run(name: string, inputs: JsonObject, on = engine): Promise<ExecutionStatusBody> {
  const text = readFileSync(join(FOLDER, `${name}.yaml`), 'utf8');
  const published = await on.client.publish(text, 'application/yaml');
  expect([published.name, published.warnings]).toEqual([name, []]);
  return on.end(await on.start(name, { inputs }));
}

async function outputsOf(name: string, inputs: JsonObject): Promise<Json> {
  const { status, outputs, error } = await run(name, inputs);
  expect([status, error]).toEqual(['completed', null]);
  return outputs;
}

const withServices = (inputs: JsonObject): JsonObject => ({ ...inputs, baseUrl: services.url });

test('hello greets', async () => {
  expect(await outputsOf('hello', { name: 'Ada' })).toEqual({ greeting: 'Hello, Ada!', letters: 3 });
});

test('hello without a name is refused before it starts', async () => {
  await run('hello', { name: 'Ada' });
  const { status, body } = await engine.request('POST', '/api/v1/execution/start', { template: 'hello' });
  expect([status, body.code]).toEqual([422, 'invalid_inputs']);
});

describe('order-fulfilment', () => {
  test('a large order goes by air', async () => {
    expect(await outputsOf('order-fulfilment', { orderId: 42 })).toEqual({
      order: 42,
      shipped: true,
      carrier: 'air',
    });
  });

  test('a small order goes by road, and the other branch is skipped', async () => {
    const execution = await run('order-fulfilment', { orderId: 'A-1', total: 20 });
    expect(execution.outputs).toEqual({ order: 'A-1', shipped: true, carrier: 'road' });
    expect(statuses(execution)).toMatchObject({
      express: 'skipped',
      standard: 'completed',
      ship: 'completed',
    });
  });

  test('a declined card takes the error branch, and the execution completes', async () => {
    const execution = await run('order-fulfilment', { orderId: 42, card: 'declined' });
    expect([execution.status, execution.outputs]).toEqual([
      'completed',
      { order: 42, shipped: false, problem: 'card_declined' },
    ]);
    expect(statuses(execution)).toMatchObject({
      refuse: 'failed',
      release_stock: 'completed',
      charge: 'skipped',
      ship: 'skipped',
    });
    const release = execution.steps.find(({ key }) => key === 'release_stock');
    expect(release?.outputs).toBe('releasing R-42: card_declined');
  });
});

describe('fan-out-report', () => {
  test('four regions make a report', async () => {
    expect(await outputsOf('fan-out-report', {})).toEqual({
      regions: 4,
      total: 142,
      missing: [],
      quorum: true,
    });
  });

  test('a broken region is left out and named', async () => {
    expect(await outputsOf('fan-out-report', { broken: 'south' })).toEqual({
      regions: 3,
      total: 98,
      missing: ['south'],
      quorum: true,
    });
  });

  test('with two broken regions the quorum is skipped', async () => {
    const execution = await run('fan-out-report', { broken: 'south', also: 'west' });
    expect(execution.outputs).toEqual({ regions: 2, total: 60, missing: ['south', 'west'], quorum: false });
    expect(statuses(execution).quorum).toBe('skipped');
  });
});

describe('user-onboarding', () => {
  test('a single user is not asked to invite a team', async () => {
    const outputs = await outputsOf('user-onboarding', { email: 'ada@example.com', pause: '50ms' });
    expect(outputs).toMatchObject({ email: 'ada@example.com', invited: false });
    expect((outputs as { waitedMs: number }).waitedMs).toBeGreaterThanOrEqual(50);
  });

  test('a team is', async () => {
    const outputs = await outputsOf('user-onboarding', {
      email: 'ada@example.com',
      plan: 'team',
      pause: '1ms',
    });
    expect(outputs).toMatchObject({ invited: true });
  });
});

describe('document-ingestion', () => {
  test('a text is indexed as it is', async () => {
    const execution = await run('document-ingestion', withServices({ documentId: 'contract-7' }));
    expect(execution.outputs).toEqual({ indexed: true, label: 'contract', language: 'en' });
    expect(statuses(execution)).toMatchObject({
      plain: 'completed',
      recognise: 'skipped',
      reject: 'skipped',
    });
  });

  test('an image goes through the text recognition', async () => {
    const execution = await run('document-ingestion', withServices({ documentId: 'scan-3' }));
    expect(execution.outputs).toEqual({ indexed: true, label: 'invoice', language: 'de' });
    expect(statuses(execution)).toMatchObject({ plain: 'skipped', recognise: 'completed' });
  });

  test('a document that is not there is rejected after one attempt', async () => {
    const execution = await run('document-ingestion', withServices({ documentId: 'missing' }));
    expect([execution.status, execution.outputs]).toEqual(['completed', { indexed: false, rejected: 404 }]);
    const fetched = execution.steps.find(({ key }) => key === 'fetch');
    expect([fetched?.status, fetched?.attempt_count]).toEqual(['failed', 1]);
  });
});

describe('nightly-pipeline', () => {
  test('a busy source is asked again, and the rows are loaded', async () => {
    expect(await outputsOf('nightly-pipeline', withServices({ date: '2026-01-31' }))).toEqual({
      loaded: 38,
      refused: 2,
      attempts: '2',
      removed: 'staging/2026-01-31',
    });
  });

  test('too few rows are not loaded, and the staging area is cleaned all the same', async () => {
    const execution = await run('nightly-pipeline', withServices({ date: '2026-01-31', minimum: 1000 }));
    expect([execution.status, execution.outputs]).toEqual([
      'completed',
      { loaded: 0, refused: 0, attempts: '2', problem: 'too_few_rows', removed: 'staging/2026-01-31' },
    ]);
    expect(statuses(execution)).toMatchObject({ load: 'skipped', report_failure: 'completed' });
  });

  test('more refused rows than are tolerated fail the load, and the staging area is cleaned all the same', async () => {
    const execution = await run('nightly-pipeline', withServices({ date: '2026-02-28' }));
    expect([execution.status, execution.outputs]).toEqual([
      'completed',
      { loaded: 0, refused: 3, attempts: '2', problem: 'too_many_failures', removed: 'staging/2026-02-28' },
    ]);
    expect(statuses(execution)).toMatchObject({ load: 'failed', report_failure: 'completed' });
  });
});

describe('trip-booking', () => {
  async function bookingsOf(traveller: string): Promise<{ made: string[]; cancelled: string[] }> {
    const answer = await fetch(`${services.url}/bookings/${traveller}`);
    return (await answer.json()) as { made: string[]; cancelled: string[] };
  }

  test('everything is booked', async () => {
    expect(await outputsOf('trip-booking', withServices({ traveller: 'Ada' }))).toEqual({
      flight: 'Ada-flight-Paris',
      rooms: ['Ada-room-Paris', 'Ada-room-Rome', 'Ada-room-Vienna'],
      car: 'Ada-car-Vienna',
    });
    const { made, cancelled } = await bookingsOf('Ada');
    expect([made.length, cancelled.length]).toEqual([5, 0]);
  });

  test('without a car the rooms are cancelled, then the flight', async () => {
    const execution = await run('trip-booking', withServices({ traveller: 'Ben', car: 'Atlantis' }));
    expect(execution).toMatchObject({ status: 'failed', error: { step: 'car' }, uncertain: [] });
    const { made, cancelled } = await bookingsOf('Ben');
    expect(made).toEqual([]);
    expect(cancelled.slice(0, 3).sort()).toEqual(['Ben-room-Paris', 'Ben-room-Rome', 'Ben-room-Vienna']);
    expect(cancelled.slice(3)).toEqual(['Ben-flight-Paris']);
  });

  test('without a room at the last stop the rooms before it are cancelled, and no car was asked for', async () => {
    const execution = await run('trip-booking', withServices({ traveller: 'Cleo', lastStop: 'Atlantis' }));
    expect(execution).toMatchObject({ status: 'failed', error: { step: 'rooms' } });
    expect(statuses(execution)).toMatchObject({ car: 'cancelled' });
    const { made, cancelled } = await bookingsOf('Cleo');
    expect([made, cancelled.at(-1)]).toEqual([[], 'Cleo-flight-Paris']);
  });
});

describe('expense-approval', () => {
  /** Starts it, and decides as soon as a step waits. */
  async function decide(
    waiting: string,
    patience: string,
    payload: JsonObject,
  ): Promise<ExecutionStatusBody> {
    await run('expense-approval', { amount: 40 });
    const id = await engine.start('expense-approval', { inputs: { amount: 900, patience } });
    await until(async () => statuses(await engine.client.status(id))[waiting] === 'waiting');
    const signal = { execution_id: id, signal: 'decision', payload };
    const { status } = await engine.request('POST', '/api/v1/execution/signal', signal);
    expect(status).toBe(200);
    return engine.end(id);
  }

  test('a small expense is paid without a question', async () => {
    const execution = await run('expense-approval', { amount: 40 });
    expect(execution.outputs).toEqual({ paid: 40, escalated: false });
    expect(statuses(execution)).toMatchObject({ ask: 'skipped', decline: 'skipped', give_up: 'skipped' });
  });

  test('a decision in time is taken', async () => {
    const { outputs } = await decide('ask', '1d', { by: 'Ada', approved: true });
    expect(outputs).toEqual({ paid: 900, by: 'Ada', escalated: false });
    const declined = await decide('ask', '1d', { by: 'Ada', approved: false });
    expect([declined.status, declined.outputs]).toEqual([
      'completed',
      { paid: 0, by: 'Ada', escalated: false },
    ]);
  });

  test('a decision that comes late enough is that of the head', async () => {
    const { outputs } = await decide('ask_head', '50ms', { by: 'Grace', approved: true });
    expect(outputs).toEqual({ paid: 900, by: 'Grace', escalated: true });
  });

  test('a decision that is none is refused, and the step waits on', async () => {
    await run('expense-approval', { amount: 40 });
    const id = await engine.start('expense-approval', { inputs: { amount: 900 } });
    await until(async () => statuses(await engine.client.status(id)).ask === 'waiting');
    const signal = { execution_id: id, signal: 'decision', payload: { approved: 'perhaps' } };
    expect((await engine.request('POST', '/api/v1/execution/signal', signal)).status).toBe(422);
    expect(statuses(await engine.client.status(id)).ask).toBe('waiting');
    await engine.client.cancel(id);
  });

  test('without any decision it goes up, and fails at last', async () => {
    const execution = await run('expense-approval', {
      amount: 900,
      patience: '50ms',
      headPatience: '50ms',
    });
    expect([execution.status, execution.error?.code]).toEqual(['failed', 'not_decided']);
    expect(statuses(execution)).toMatchObject({
      ask: 'failed',
      escalate: 'completed',
      ask_head: 'failed',
      pay: 'skipped',
    });
  });
});

describe('export-polling', () => {
  const poll = (report: string) => run('export-polling', withServices({ report, interval: '1ms' }));

  test('asks until the export is ready, and fetches it', async () => {
    const execution = await poll('sales');
    expect(execution.outputs).toEqual({ rows: 2, looks: 3, status: 'ready' });
    expect(statuses(execution).late).toBe('skipped');
  });

  test('ends without rows when the export breaks', async () => {
    const execution = await poll('broken');
    expect(execution.outputs).toEqual({ rows: 0, looks: 3, status: 'broken' });
    expect(statuses(execution)).toMatchObject({ fetch: 'skipped', late: 'skipped' });
  });

  test('gives up an export that never gets ready', async () => {
    const execution = await poll('endless');
    expect([execution.status, execution.outputs]).toEqual(['completed', { rows: 0, status: 'pending' }]);
    expect(stepOf(execution, 'ready')).toMatchObject({ status: 'failed', error: { code: 'max_iterations' } });
    expect(stepOf(execution, 'late').outputs).toBe('the export is not ready: max_iterations');
  });
});

describe('invoice-reading', () => {
  const read = (documentId: string) => run('invoice-reading', withServices({ documentId }));

  test('a reading that adds up is booked', async () => {
    const execution = await read('invoice-7');
    expect(execution.outputs).toEqual({ booked: 2, total: 2_500, readings: 1, unread: false });
    expect(statuses(execution)).toMatchObject({ reread: 'skipped', ask_person: 'skipped' });
  });

  test('a reading that does not is asked for again, and booked then', async () => {
    const execution = await read('invoice-smudged');
    expect(execution.outputs).toEqual({ booked: 2, total: 2_600, readings: 2, unread: false });
    expect(stepOf(execution, 'read').outputs).toMatchObject({ total: 6_200 });
  });

  test('a model that is busy is asked again', async () => {
    const execution = await read('invoice-busy');
    expect(execution.outputs).toMatchObject({ booked: 1, total: 300 });
    expect(stepOf(execution, 'read').attempt_count).toBe(2);
  });

  test('what is no invoice goes to a person after three attempts', async () => {
    const execution = await read('poem');
    expect([execution.status, execution.outputs]).toEqual([
      'completed',
      { booked: 0, readings: 1, unread: true },
    ]);
    expect(stepOf(execution, 'read')).toMatchObject({ attempt_count: 3, error: { code: 'invalid_answer' } });
  });
});

describe('incident-response', () => {
  test('the first in line answers', async () => {
    const execution = await run('incident-response', withServices({ service: 'checkout', severity: 1 }));
    expect(execution.outputs).toEqual({ ticket: 'T-1', paged: 'Ada', posted: true });
    expect(statuses(execution).page_second).toBe('skipped');
  });

  test('the second one is called when the first cannot be reached', async () => {
    const execution = await run('incident-response', withServices({ service: 'search', severity: 1 }));
    expect(execution.outputs).toEqual({ ticket: 'T-1', paged: 'Grace', posted: true });
    const first = execution.steps.find(({ key }) => key === 'page_first');
    expect([first?.status, first?.attempt_count]).toEqual(['failed', 3]);
  });

  test('a small incident pages nobody', async () => {
    const execution = await run('incident-response', withServices({ service: 'blog', severity: 4 }));
    expect(execution.outputs).toEqual({ ticket: 'T-1', paged: null, posted: false });
  });
});

test('no example is left out here', () => {
  const source = readFileSync(import.meta.path, 'utf8');
  const names = readdirSync(FOLDER)
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => name.replace('.yaml', ''));
  expect(names.filter((name) => !new RegExp(`\\b(run|outputsOf)\\('${name}'`).test(source))).toEqual([]);
});

test.each([
  ['document-ingestion', { documentId: 'contract-7' }, 'completed', 'fetch'],
  ['nightly-pipeline', { date: '2026-01-31' }, 'failed', 'orders'],
  ['incident-response', { service: 'search', severity: 1 }, 'failed', 'ticket'],
  ['invoice-reading', { documentId: 'invoice-7' }, 'failed', 'fetch'],
  ['export-polling', { report: 'sales' }, 'failed', 'order'],
])(
  '%s on an engine that may not call private addresses ends as the page says',
  async (name, inputs, status, step) => {
    const execution = await run(name, inputs, strict);
    expect(execution.status).toBe(status as never);
    expect(stepOf(execution, step).error?.code).toBe('http_blocked_address');
    if (status === 'completed') expect(execution.outputs).toMatchObject({ indexed: false });
  },
);
