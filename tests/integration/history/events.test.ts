/**
 * The events of an execution over HTTP: replayed, followed, resumed and paged, always the same ones in the same order.
 */
import { expect, test } from 'bun:test';
import type { JsonObject } from '../../../core/json/json.ts';
import { isFinalExecution, isFinalStep } from '../../../core/status.ts';
import { eventsOf, type ReadEvent, readEvents } from '../../support/api/event-reader.ts';
import { type EngineDatabase, type EngineProcess, stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

const CONFIG = { EXECUTION_ENGINE_API_KEYS: '' };

let database: EngineDatabase;
let engine: TestEngine;
let other: EngineProcess;

const fixture = fixtureForAll(async (made) => {
  database = await made.database();
  engine = await made.engine({ config: CONFIG });
  other = await made.engineProcess({ config: CONFIG });
});

const urlOf = (id: string, more = '', calls: { url: string } = engine) =>
  `${calls.url}/api/v1/execution/events?execution_id=${id}${more}`;
const isEnd = ({ type, to }: ReadEvent) => type === 'execution' && isFinalExecution(to as 'failed');

async function logOf(query: string): Promise<{ data: ReadEvent[]; next_cursor: string | null }> {
  const { status, body } = await engine.request('GET', `/api/v1/execution/event-log?${query}`);
  if (status !== 200) throw new Error(JSON.stringify(body));
  return body as unknown as { data: ReadEvent[]; next_cursor: string | null };
}

/** What must be told once: final statuses and ends of attempts. */
const exact = (events: readonly ReadEvent[]) =>
  events
    .filter(({ type, to, outcome }) => type === 'execution' || isFinalStep(to as 'failed') || outcome)
    .map(({ type, key, to, outcome, attempt }) =>
      type === 'execution' ? `execution ${to}` : `${key} ${attempt} ${outcome ?? '-'} ${to}`,
    );

const order = (events: readonly ReadEvent[]) =>
  events.map(({ id }) => id.split('.').map(Number) as [number, number]);

const inOrder = (events: readonly ReadEvent[]) =>
  order(events).every(([sequence, n], at, all) => {
    const before = all[at - 1];
    return before === undefined || before[0] < sequence || (before[0] === sequence && before[1] < n);
  });

const mixed = {
  onFailure: 'continue',
  steps: {
    a: { type: 'flaky', with: { failures: 2 }, retry: { limit: 3, delay: '1ms' } },
    b: { type: 'noop', needs: ['a'] },
    no: { type: 'noop', needs: ['a'], when: false },
    after: { type: 'noop', needs: ['no'] },
    bad: { type: 'fail', needs: ['b'], with: { code: 'bad', message: 'Bad.' } },
  },
};

const TOLD = [
  'execution pending',
  'execution running',
  'a 1 failed retrying',
  'a 2 failed retrying',
  'a 3 completed completed',
  'b 1 completed completed',
  'no 0 - skipped',
  'after 0 - skipped',
  'bad 1 failed failed',
  'execution failed',
];

test('a stream tells every final status and every end of an attempt once and in order, replayed or followed', async () => {
  const id = await engine.start(await engine.publish(mixed));
  const followed = await readEvents(urlOf(id), isEnd);
  await engine.end(id);
  const replayed = await readEvents(urlOf(id), isEnd);
  for (const events of [followed, replayed]) {
    expect(exact(events).toSorted()).toEqual(TOLD.toSorted());
    expect(exact(events).at(0)).toBe('execution pending');
    expect(exact(events).at(-1)).toBe('execution failed');
    expect(inOrder(events)).toBe(true);
  }
  const ids = new Map(replayed.map((event) => [event.id, event]));
  for (const { from: _from, ...event } of followed.filter((each) => exact([each]).length > 0)) {
    const { from: _, ...same } = ids.get(event.id)!;
    expect(same).toEqual(event);
  }
  expect(replayed.at(-1)).toMatchObject({
    type: 'execution',
    key: null,
    step_id: null,
    scope: null,
    from: 'running',
  });
});

test('a reader that is broken off after any event resumes after it, at any engine', async () => {
  const id = await engine.start(await engine.publish(mixed));
  await engine.end(id);
  const all = await readEvents(urlOf(id), isEnd);
  for (const [at, { id: last }] of all.slice(0, -1).entries()) {
    const rest = await readEvents(urlOf(id, '', at % 2 === 0 ? engine : other), isEnd, last);
    expect(rest.map((event) => event.id)).toEqual(all.slice(at + 1).map((event) => event.id));
  }
});

test('pages of the log have the same events, forwards and backwards', async () => {
  const id = await engine.start(await engine.publish(mixed));
  await engine.end(id);
  const all = await readEvents(urlOf(id), isEnd);
  const forwards: ReadEvent[] = [];
  for (let after: string | null = ''; after !== null; ) {
    const page = await logOf(`execution_id=${id}&limit=3${after === '' ? '' : `&after=${after}`}`);
    expect(page.data.length).toBeLessThanOrEqual(3);
    forwards.push(...page.data);
    after = page.next_cursor;
  }
  expect(forwards).toEqual(all.map((event) => ({ ...event, ...fromOf(forwards, event.id) })));
  const backwards: ReadEvent[] = [];
  for (let before: string | null = '99999.0'; before !== null; ) {
    const page = await logOf(`execution_id=${id}&limit=4&before=${before}`);
    backwards.unshift(...page.data);
    before = page.next_cursor;
  }
  expect(backwards).toEqual(forwards);
  const between = await logOf(`execution_id=${id}&after=${all[1]!.id}&before=${all[4]!.id}`);
  expect(between).toEqual({ data: forwards.slice(2, 4), next_cursor: null });
});

const fromOf = (events: readonly ReadEvent[], id: string): JsonObject => ({
  from: events.find((event) => event.id === id)?.from ?? null,
});

test('what a retry has reset is told all the same, and its attempts are kept', async () => {
  const id = await engine.start(
    await engine.publish({
      steps: {
        once: { type: 'flaky', with: { failures: 1 } },
        beside: { type: 'noop' },
        after: { type: 'noop', needs: ['once'] },
      },
    }),
  );
  await engine.end(id);
  const before = await readEvents(urlOf(id), isEnd);
  expect(exact(before).at(-1)).toBe('execution failed');
  await engine.request('POST', '/api/v1/execution/retry', { execution_id: id });
  const end = await engine.end(id);
  expect(end.status).toBe('completed');
  const after = await readEvents(urlOf(id), isEnd, before.at(-1)!.id);
  const all = await readEvents(urlOf(id), ({ type, to }) => type === 'execution' && to === 'completed');
  expect(exact(all)).toEqual([...exact(before), ...exact(after)]);
  expect(
    exact(all)
      .filter((told) => !told.startsWith('beside'))
      .toSorted(),
  ).toEqual(
    [
      'execution pending',
      'execution running',
      'once 1 failed failed',
      'after 0 - cancelled',
      'execution failed',
      'execution running',
      'once 2 completed completed',
      'after 1 completed completed',
      'execution completed',
    ].toSorted(),
  );
  expect(inOrder(all)).toBe(true);
  const { body } = await engine.request('GET', `/api/v1/steps/${stepOf(end, 'once').id}`);
  expect(body.attempts).toMatchObject([
    { attempt: 1, outcome: 'failed' },
    { attempt: 2, outcome: 'completed', error: null },
  ]);
});

test('a scope that is opened anew, or again as it was, goes on in its stream', async () => {
  const id = await engine.start(
    await engine.publish({
      steps: {
        each: {
          type: 'foreach',
          with: {
            items: [0],
            steps: {
              first: { type: 'noop' },
              once: { type: 'flaky', needs: ['first'], with: { failures: 1 } },
            },
          },
        },
      },
    }),
  );
  await engine.end(id);
  const ended = (status: string) => (event: ReadEvent) => event.type === 'scope' && event.to === status;
  const scoped = (last: string, after?: string) =>
    readEvents(urlOf(id, '&scope=each[0]'), ended(last), after);
  const before = await scoped('failed');
  // Its steps are new ones, and fail as the old ones did.
  await engine.request('POST', '/api/v1/execution/retry', { execution_id: id });
  expect((await engine.end(id)).status).toBe('failed');
  const anew = await scoped('failed', before.at(-1)!.id);
  await engine.request('POST', '/api/v1/execution/retry', { execution_id: id, from: 'each[0]/once' });
  expect((await engine.end(id)).status).toBe('completed');
  const after = await scoped('completed', anew.at(-1)!.id);
  expect(inOrder([...before, ...anew, ...after])).toBe(true);
  expect(anew.filter(({ outcome }) => outcome).map(({ key, outcome }) => `${key} ${outcome}`)).toEqual([
    'first completed',
    'once failed',
  ]);
  expect(after.filter(({ outcome }) => outcome).map(({ key, outcome }) => `${key} ${outcome}`)).toEqual([
    'once completed',
  ]);
});

test('what another engine does is told here', async () => {
  const template = await engine.publish({
    steps: { hold: { type: 'gate', with: { name: 'told' } }, next: { type: 'noop', needs: ['hold'] } },
  });
  const id = await other.start(template);
  const here = readEvents(urlOf(id), isEnd);
  const there = readEvents(urlOf(id, '', other), isEnd);
  await database.openGate('told');
  const told = await Promise.all([here, there]);
  for (const events of told)
    expect(exact(events)).toEqual([
      'execution pending',
      'execution running',
      'hold 1 completed completed',
      'next 1 completed completed',
      'execution completed',
    ]);
});

test('each scope has a stream of its own, and a cancel from above is told in it', async () => {
  const template = await engine.publish({
    steps: {
      each: {
        type: 'foreach',
        with: {
          items: [0, 1],
          steps: {
            one: { type: 'noop' },
            two: { type: 'gate', needs: ['one'], with: { name: 'never-open' } },
          },
        },
      },
    },
  });
  const id = await engine.start(template);
  await database.until(
    `select count(*) = 2 from workflow_step_executions where workflow_execution_id = $1 and scope <> '' and status = 'running'`,
    [id],
  );
  const reading = readEvents(
    urlOf(id, '&scope=each[1]'),
    ({ type, to }) => type === 'scope' && to === 'cancelled',
  );
  await engine.client.cancel(id);
  const events = await reading;
  expect(inOrder(events)).toBe(true);
  expect(
    events.filter(({ to }) => isFinalStep(to as 'failed')).map(({ key, to }) => `${key ?? 'scope'} ${to}`),
  ).toEqual(['one completed', 'two cancelled', 'scope cancelled']);
  expect(events.every(({ scope }) => scope === 'each[1]')).toBe(true);
});

test('a stream of an execution that is not seen, or after what is no event, is refused', async () => {
  const nobody = '0197a3c4-5b6d-7e8f-9012-3456789abcde';
  const id = await engine.start(await engine.publish({ steps: { a: { type: 'noop' } } }));
  for (const [path, status, code] of [
    [`events?execution_id=${nobody}`, 404, 'execution_not_found'],
    [`event-log?execution_id=${nobody}`, 404, 'execution_not_found'],
    [`events?execution_id=${id}&scope=each[0]`, 404, 'scope_not_found'],
    [`event-log?execution_id=${id}&scope=each[0]`, 404, 'scope_not_found'],
    [`events?execution_id=${id}&after=latest`, 422, 'validation_failed'],
    [`event-log?execution_id=${id}&before=1`, 422, 'validation_failed'],
    [`event-log?execution_id=${id}&limit=0`, 422, 'validation_failed'],
    ['events', 422, 'validation_failed'],
  ] as const)
    expect([path, await engine.request('GET', `/api/v1/execution/${path}`)]).toMatchObject([
      path,
      { status, body: { code } },
    ]);
});

test('a stream of an engine that stops ends between two events', async () => {
  const leaving = await fixture.engineProcess({ config: CONFIG, name: 'leaving' });
  const id = await engine.start(
    await engine.publish({
      steps: { a: { type: 'wait', with: { signal: 'go' } }, b: { type: 'noop', needs: ['a'] } },
    }),
  );
  const events: ReadEvent[] = [];
  for await (const event of eventsOf(urlOf(id, '', leaving))) {
    events.push(event);
    if (event.to === 'waiting') leaving.kill('SIGTERM');
  }
  expect(await leaving.exited).toBe(0);
  await engine.client.signal({ execution_id: id, signal: 'go' });
  const rest = await readEvents(urlOf(id), isEnd, events.at(-1)!.id);
  expect(exact([...events, ...rest])).toEqual([
    'execution pending',
    'execution running',
    'a 1 completed completed',
    'b 1 completed completed',
    'execution completed',
  ]);
});
