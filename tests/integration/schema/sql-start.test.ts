/**
 * `workflow_start(...)` in a main server's own transaction.
 */
import { expect, test } from 'bun:test';
import pg from 'pg';
import { type EngineDatabase, statuses, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { assertInvariants } from '../../support/invariants.ts';

let database: EngineDatabase;
let engine: TestEngine;
let template: string;

fixtureForAll(async (fixture) => {
  database = await fixture.database();
  engine = await fixture.engine();
  template = await engine.publish({
    input: { type: 'object', required: ['n'], properties: { n: { type: 'integer' } } },
    steps: { a: { type: 'record', with: { value: '${{ input.n }}' } } },
  });
});

async function inTransaction(
  end: 'commit' | 'rollback',
  work: (client: pg.Client) => Promise<string>,
): Promise<string> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    await client.query('begin');
    const id = await work(client);
    await client.query(end);
    return id;
  } finally {
    await client.end();
  }
}

async function start(
  client: Pick<pg.Client, 'query'>,
  name: string,
  inputs: unknown,
  options: unknown = {},
): Promise<string> {
  const { rows } = await client.query('select workflow_start($1, $2, $3) as id', [
    name,
    JSON.stringify(inputs),
    JSON.stringify(options),
  ]);
  return rows[0].id;
}

test('a start that is committed runs', async () => {
  const id = await inTransaction('commit', (client) =>
    start(client, template, { n: 7 }, { priority: 3, tags: ['sql', 'main'] }),
  );
  const end = await engine.end(id);
  expect(end).toMatchObject({ status: 'completed', outputs: { a: 7 }, inputs: { n: 7 }, version: 1 });
  const { body } = await engine.request('GET', '/admin/executions?tag=sql');
  expect(body.data).toMatchObject([{ execution_id: id, tags: ['sql', 'main'] }]);
});

test('a start that is rolled back never was', async () => {
  const id = await inTransaction('rollback', (client) => start(client, template, { n: 8 }));
  // A later start is through: had the first been there it would have been taken before.
  await engine.end(await start(database.pool, template, { n: 9 }));
  expect((await engine.request('GET', `/api/v1/execution/status?execution_id=${id}`)).status).toBe(404);
  expect(await database.runs(id)).toEqual([]);
});

test('a start is not seen before its commit', async () => {
  const id = await inTransaction('commit', async (client) => {
    const started = await start(client, template, { n: 1 });
    await engine.end(await start(database.pool, template, { n: 2 }));
    expect(await database.runs(started)).toEqual([]);
    return started;
  });
  expect((await engine.end(id)).status).toBe('completed');
});

test('100 starts in one transaction all run', async () => {
  const { rows } = await database.pool.query(
    `select workflow_start($1, jsonb_build_object('n', n)) as id from generate_series(1, 100) n`,
    [template],
  );
  const ends = await Promise.all(rows.map(({ id }) => engine.end(id)));
  expect(ends.map(({ outputs }) => outputs)).toEqual(Array.from({ length: 100 }, (_, at) => ({ a: at + 1 })));
});

test('inputs that the schema refuses end the execution failed with invalid_inputs when it is picked up', async () => {
  const id = await start(database.pool, template, { n: 'seven' });
  const end = await engine.end(id);
  expect(end).toMatchObject({ status: 'failed', error: { code: 'invalid_inputs', step: null } });
  expect(statuses(end)).toEqual({ a: 'cancelled' });
  expect(end.error!.message).toContain('/n');
});

test('a template that is not published, is archived or lacks the version is refused by name', async () => {
  const archived = await engine.publish({ steps: { a: { type: 'record' } } });
  await engine.client.archiveTemplate(archived);
  await expect(start(database.pool, 'no-such-template', {})).rejects.toThrow(
    'no template named "no-such-template"',
  );
  await expect(start(database.pool, archived, {})).rejects.toThrow(archived);
  await expect(start(database.pool, template, {}, { version: 9 })).rejects.toThrow('version 9');
});

test('a number that would not keep its value is refused with its place, and what is taken is shown as it is stored', async () => {
  for (const [inputs, pointer] of [
    ['{"n":9007199254740993}', '/inputs/n'],
    ['{"n":1,"list":[0,{"id":12345678901234567890}]}', '/inputs/list/1/id'],
    ['{"n":1e400}', '/inputs/n'],
  ] as const) {
    const starting = database.pool.query('select workflow_start($1, $2)', [template, inputs]);
    await expect(starting).rejects.toMatchObject({
      code: '22003',
      message: expect.stringContaining(`number_not_exact: the number at ${pointer} `),
    });
  }
  const inputs = '{"n": 9007199254740992, "more": [1.10, 1e21, 1152921504606847000]}';
  const { rows } = await database.pool.query('select workflow_start($1, $2) as id', [template, inputs]);
  const end = await engine.end(rows[0].id);
  expect(end.inputs).toEqual(JSON.parse(inputs));
  const stored = await database.pool.query(
    'select inputs = $2::jsonb as same from workflow_executions where id = $1',
    [rows[0].id, JSON.stringify(end.inputs)],
  );
  expect(stored.rows).toEqual([{ same: true }]);
  await assertInvariants(database.url);
});

test('the same idempotency key gives the same execution, also at the same moment, and other inputs are refused', async () => {
  const options = { idempotency_key: 'from-sql' };
  const ids = await Promise.all(
    Array.from({ length: 20 }, () => start(database.pool, template, { n: 5 }, options)),
  );
  expect(new Set(ids).size).toBe(1);
  await expect(start(database.pool, template, { n: 6 }, options)).rejects.toThrow('from-sql');
  await expect(start(database.pool, template, { n: 5 }, { ...options, version: 1 })).rejects.toThrow(
    'from-sql',
  );
  const overHttp = await engine.client.start({ template, inputs: { n: 5 }, idempotency_key: 'from-sql' });
  expect(overHttp).toMatchObject({ execution_id: ids[0], created: false });
  await engine.end(ids[0]!);
  expect(await database.runs(ids[0])).toHaveLength(1);
});

test('inputs are the same for a key, however their numbers are written and whichever door they come through', async () => {
  const spellings = [
    ['{"a":0.1,"n":1}', '{"n":1.0,"a":0.10000000000000000555}'],
    ['{"a":[0,1.1],"n":1}', '{"n":1e0,"a":[1e-400,1.10]}'],
    [
      '{"a":"0.10000000000000000555","b":0.3,"n":1}',
      '{"n":1,"a":"0.10000000000000000555","b":0.29999999999999998}',
    ],
  ] as const;
  const overHttp = async (inputs: string, key: string) => {
    const response = await fetch(`${engine.url}/api/v1/execution/start`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: `{"template":"${template}","inputs":${inputs},"idempotency_key":"${key}"}`,
    });
    return ((await response.json()) as { execution_id: string }).execution_id;
  };
  const inSql = async (inputs: string, key: string) => {
    const options = { idempotency_key: key };
    return (await database.pool.query('select workflow_start($1, $2, $3) as id', [template, inputs, options]))
      .rows[0].id;
  };
  for (const [number, texts] of spellings.entries())
    for (const doors of [
      [overHttp, inSql, overHttp, inSql],
      [inSql, overHttp, inSql, overHttp],
    ]) {
      const key = `written-${number}-${doors[0]!.name}`;
      const ids = new Set<string>();
      for (const [at, start] of doors.entries()) ids.add(await start(texts[at < 2 ? 1 : at % 2]!, key));
      expect(ids.size).toBe(1);
      const [id] = ids;
      const { rows } = await database.pool.query(
        'select inputs::text from workflow_executions where id = $1',
        [id],
      );
      expect(rows[0].inputs.replaceAll(' ', '')).toBe(texts[0]);
      await engine.end(id!);
    }
});

test('start_after puts the start off, and a workspace of its own has its own names', async () => {
  const later = await start(database.pool, template, { n: 1 }, { start_after: '2999-01-01T00:00:00Z' });
  expect(await engine.client.status(later)).toMatchObject({ status: 'pending', started_at: null });
  await assertInvariants(database.url, { allFinal: false });
  await engine.client.cancel(later);
  const workspace_id = '11111111-1111-4111-8111-111111111111';
  await expect(start(database.pool, template, { n: 1 }, { workspace_id })).rejects.toThrow(template);
});

test('inputs over the limit are refused', async () => {
  const inputs = { n: 1, text: 'x'.repeat(11 * 1024 * 1024) };
  await expect(start(database.pool, template, inputs)).rejects.toThrow('limit');
});
