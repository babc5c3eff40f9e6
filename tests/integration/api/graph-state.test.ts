/**
 * Graphs and states in columns, over HTTP: they tell the same as the status of the execution, in fewer bytes.
 */
import { expect, test } from 'bun:test';
import { gunzipSync } from 'node:zlib';
import type { JsonObject } from '../../../core/json/json.ts';
import { NO_ROW, STATUS_LETTERS } from '../../../core/reading/state-columns.ts';
import type { GraphBody, StateBody } from '../../../services/reading/reading-answers.ts';
import type { EngineDatabase, TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

let database: EngineDatabase;
let engine: TestEngine;

fixtureForAll(
  async (fixture) => {
    database = await fixture.database();
    engine = await fixture.engine();
  },
  { allFinal: false },
);

async function read<T>(path: string): Promise<T> {
  const { status, body } = await engine.request('GET', path);
  expect({ path, status, body: status === 200 ? null : body }).toEqual({ path, status: 200, body: null });
  return body as unknown as T;
}

const graphOf = (name: string, version = 1) =>
  read<GraphBody>(`/api/v1/templates/${name}/graph?version=${version}`);
const stateOf = (id: string, more = '') =>
  read<StateBody>(`/api/v1/execution/state?execution_id=${id}${more}`);

/** The state of a scope as its status tells it. */
async function stateByStatus(id: string, graph: GraphBody, scope: string): Promise<Partial<StateBody>> {
  const { steps, status, stop_requested, template, version, created_at } = await engine.client.status(id, {
    scope,
  });
  const byKey = new Map(steps.map((step) => [step.key, step]));
  const row = graph.keys.map((key) => byKey.get(key));
  const since = (at: string | null | undefined) => (at ? Date.parse(at) - Date.parse(created_at) : -1);
  const edges = graph.from.map((from, edge) => {
    const input = row[graph.to[edge]!]?.received_inputs.find(({ key }) => key === graph.keys[from]);
    return input === undefined ? '.' : input.live ? 'l' : 'd';
  });
  return {
    execution_id: id,
    status,
    stop_requested,
    template,
    version,
    graph_hash: graph.hash,
    status_of: row.map((step) => (step === undefined ? NO_ROW : STATUS_LETTERS[step.status])).join(''),
    attempts: row.map((step) => step?.attempt_count ?? 0),
    created: row.map((step) => since(step?.created_at)),
    started: row.map((step) => since(step?.started_at)),
    ended: row.map((step) => since(step?.completed_at)),
    edges: edges.join(''),
    ids: row.map((step) => step?.id ?? null),
    scopes: Object.fromEntries(
      steps.flatMap(({ key, scopes }) => (scopes === undefined ? [] : [[key, scopes]])),
    ),
  };
}

const EACH = {
  type: 'foreach',
  with: {
    items: 3,
    onItemFailure: 'continue',
    steps: {
      bad: { type: 'fail', when: '${{ item == 1 }}', with: { message: 'no' } },
      next: { type: 'noop', needs: [{ step: 'bad', on: 'always' }] },
    },
  },
};
const ENDED: readonly [name: string, definition: JsonObject, scope?: string][] = [
  ['a chain', { steps: { a: { type: 'noop' }, b: { type: 'noop', needs: ['a'] } } }],
  [
    'routes, one of which is dead',
    {
      steps: {
        s: { type: 'switch', with: { cases: [{ route: 'x', when: true }], default: 'y' } },
        x: { type: 'noop', needs: [{ step: 's', route: 'x' }] },
        y: { type: 'noop', needs: [{ step: 's', route: 'y' }] },
        both: { type: 'merge', needs: ['x', 'y', { step: 's', route: ['x', 'y'] }] },
      },
    },
  ],
  [
    'a failure that is handled',
    {
      steps: {
        f: { type: 'fail', with: { message: 'no' }, retry: { limit: 1, delay: '1ms' } },
        next: { type: 'noop', needs: ['f'] },
        alert: {
          type: 'noop',
          needs: [
            { step: 'f', on: 'failure' },
            { step: 'f', on: 'always' },
          ],
        },
      },
    },
  ],
  [
    'a failure that ends it',
    {
      steps: {
        a: { type: 'noop' },
        f: { type: 'fail', needs: ['a'], with: { message: 'no' } },
        z: { type: 'noop', needs: ['f'] },
      },
    },
  ],
  [
    'a race with a loser',
    {
      steps: {
        slow: { type: 'delay', with: { for: '1h' } },
        quick: { type: 'noop' },
        first: { type: 'merge', needs: ['slow', 'quick'], join: { atLeast: 1, cancelLosers: true } },
      },
    },
  ],
  [
    'a compensation, which has no position',
    {
      steps: {
        pay: { type: 'noop', compensateWith: { type: 'noop' } },
        f: { type: 'fail', needs: ['pay'], with: { message: 'no' } },
      },
    },
  ],
  ['steps that hold steps', { steps: { each: EACH, z: { type: 'noop', needs: ['each'] } } }],
  ['a scope', { steps: { each: EACH } }, 'each[1]'],
];

const CASES = ENDED.map(([name, definition, scope = '']) => [name, definition, scope] as const);

test.each(CASES)('%s has the state of its status', async (_, definition, scope) => {
  const { execution_id: id, template } = await engine.run(definition);
  const whole = await graphOf(template);
  const graph = scope === '' ? whole : whole.scopes[0]!.graph;
  const { sequence, t0, waits, ...state } = await stateOf(
    id,
    `&include=ids${scope === '' ? '' : `&scope=${scope}`}`,
  );
  expect(state).toEqual((await stateByStatus(id, graph, scope)) as typeof state);
  expect(waits).toEqual({});
  const { rows } = await database.pool.query(
    'select sequence::int, created_at from workflow_executions where id = $1',
    [id],
  );
  expect({ sequence, t0 }).toEqual({ sequence: rows[0].sequence, t0: rows[0].created_at.toISOString() });
});

test('steps that wait say for what, by position', async () => {
  const name = await engine.publish({
    steps: {
      a: { type: 'noop' },
      sig: { type: 'wait', needs: ['a'], with: { signal: 'go' } },
      form: { type: 'form', with: { title: 'Approve' } },
      work: { type: 'task', with: { queue: 'q1' } },
      after: { type: 'noop', needs: ['sig'] },
    },
  });
  const id = await engine.start(name);
  await database.until(
    `select count(*) = 3 from workflow_step_executions where workflow_execution_id = $1 and status = 'waiting'`,
    [id],
  );
  const { status_of, waits } = await stateOf(id);
  expect(status_of).toBe('cwww.');
  expect(waits).toEqual({ 1: ['signal', 'go'], 2: ['form', 'Approve'], 3: ['task', 'q1'] });
  await engine.client.cancel(id);
});

test('the graph of a version is kept for ever, and that of the latest one until there is another', async () => {
  const definition = { name: `graph-${crypto.randomUUID()}`, steps: { a: { type: 'noop' } } };
  await engine.publish(definition);
  const get = (query: string, headers: Record<string, string> = {}) =>
    fetch(`${engine.url}/api/v1/templates/${definition.name}/graph${query}`, { headers });
  const first = await get('?version=1');
  expect(first.headers.get('cache-control')).toBe('private, max-age=31536000, immutable');
  const etag = first.headers.get('etag')!;
  expect(etag).toBe(`"${((await first.json()) as GraphBody).hash}"`);
  expect((await get('')).headers.get('cache-control')).toBe('private, no-cache');
  for (const known of [etag, `W/${etag}`, `"other", ${etag}`]) {
    const again = await get('', { 'If-None-Match': known });
    expect([again.status, await again.text()]).toEqual([304, '']);
  }
  await engine.publish({ ...definition, steps: { a: { type: 'noop' }, b: { type: 'noop' } } });
  expect((await get('', { 'If-None-Match': etag })).status).toBe(200);
  expect((await get('?version=1', { 'If-None-Match': etag })).status).toBe(304);
});

test.each([
  ['/api/v1/templates/nobody/graph', 404, 'template_not_found'],
  ['/api/v1/templates/nobody/graph?version=0', 422, 'validation_failed'],
  [`/api/v1/execution/state?execution_id=${crypto.randomUUID()}`, 404, 'execution_not_found'],
  ['/api/v1/execution/state', 422, 'validation_failed'],
])('GET %s is %d %s', async (path, status, code) => {
  expect(await engine.request('GET', path)).toMatchObject({ status, body: { code } });
});

test('a scope that is not there is 404', async () => {
  const { execution_id: id } = await engine.run({ steps: { each: EACH } });
  expect(
    await engine.request('GET', `/api/v1/execution/state?execution_id=${id}&scope=each[7]`),
  ).toMatchObject({
    status: 404,
    body: { code: 'scope_not_found' },
  });
});

const answer = async (path: string, accepts: string | null) => {
  const headers: Record<string, string> =
    accepts === null ? { 'Accept-Encoding': 'identity' } : { 'Accept-Encoding': accepts };
  const response = await fetch(`${engine.url}${path}`, { headers, decompress: false });
  return { response, bytes: Buffer.from(await response.arrayBuffer()) };
};

test('answers over 4 KB are compressed for callers that accept it, and are the same then', async () => {
  const keys = Array.from({ length: 2_000 }, (_, at) => `step_${at}`);
  const steps = Object.fromEntries(
    keys.map((key, at) => [
      key,
      { type: 'noop', with: {}, needs: at < 50 ? [] : [keys[at - 50]!, keys[at - 49]!] },
    ]),
  );
  const { execution_id: id, template } = await engine.run({ steps });
  for (const path of [
    `/api/v1/templates/${template}/graph?version=1`,
    `/api/v1/execution/state?execution_id=${id}`,
    `/api/v1/execution/status?execution_id=${id}&include=outputs`,
  ]) {
    const plain = await answer(path, null);
    const zipped = await answer(path, 'br;q=1, gzip;q=0.5');
    expect(plain.response.headers.get('content-encoding')).toBeNull();
    expect(zipped.response.headers.get('content-encoding')).toBe('gzip');
    expect(zipped.response.headers.get('vary')).toContain('Accept-Encoding');
    expect(plain.response.headers.get('vary')).toContain('Accept-Encoding');
    expect(gunzipSync(zipped.bytes).equals(plain.bytes)).toBe(true);
    expect(zipped.bytes.length).toBeLessThan(plain.bytes.length / 2);
  }
  // 2,000 steps as a page reads them.
  expect((await answer(`/api/v1/execution/state?execution_id=${id}`, 'gzip')).bytes.length).toBeLessThan(
    20_000,
  );
});

test.each([
  ['a short answer', '/health/live', 'gzip'],
  ['a page that is no JSON', '/docs', 'gzip'],
  ['a caller that refuses it', '/openapi.json', 'gzip;q=0, br'],
  ['a caller that does not name it', '/openapi.json', 'br'],
])('%s is sent as it is', async (_, path, accepts) => {
  expect((await answer(path, accepts)).response.headers.get('content-encoding')).toBeNull();
});
