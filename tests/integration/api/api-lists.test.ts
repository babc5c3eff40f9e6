/**
 * Lists in pages: filters, cursors, and that a walk through the pages stays right while rows come and go.
 */
import { beforeAll, describe, expect, test } from 'bun:test';
import type { ExecutionFilter } from '../../../services/execution-answers.ts';
import { refusal } from '../../support/database/untouched.ts';
import type { EngineDatabase, TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

const A = 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa';
const B = 'bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb';
const EXECUTIONS = '/admin/executions';
const TEMPLATES = '/api/v1/templates';
const NOOP = { steps: { a: { type: 'noop' } } };

let database: EngineDatabase;
let engine: TestEngine;

fixtureForAll(
  async (fixture) => {
    database = await fixture.database();
    engine = await fixture.engine();
  },
  { allFinal: false },
);

const idsOf = ({ data }: { data: { execution_id: string }[] }) =>
  data.map(({ execution_id }) => execution_id);

/** Walks all pages; `between` runs after each page with what was seen so far. */
async function walk<T>(
  read: (cursor: string | undefined) => Promise<{ data: T[]; next_cursor: string | null }>,
  between: (seen: readonly T[], page: number) => Promise<void> = async () => {},
): Promise<T[]> {
  const seen: T[] = [];
  let cursor: string | undefined;
  for (let page = 0; ; page++) {
    const { data, next_cursor } = await read(cursor);
    seen.push(...data);
    if (next_cursor === null) return seen;
    expect(data).not.toBeEmpty();
    await between(seen, page);
    cursor = next_cursor;
  }
}

async function allIds(filter: ExecutionFilter): Promise<string[]> {
  return idsOf({ data: await walk((cursor) => engine.client.listExecutions({ ...filter, cursor })) });
}

/** Starts `count` executions that stay pending. */
async function put(template: string, count: number, tags: string[] = []): Promise<string[]> {
  const items = Array.from({ length: count }, () => ({ template, start_after: '1h', tags }));
  return (await engine.client.startMany(items)).map(({ execution_id }) => execution_id);
}

describe('the pages of executions', () => {
  test('hold every row once, newest first, whatever the size of a page', async () => {
    const template = await engine.publish(NOOP);
    const started: string[] = [];
    for (let at = 0; at < 5; at++) started.push(...(await put(template, 6)));
    for (const limit of [1, 7, 10, 29, 30, 31, 500]) {
      const ids = await allIds({ template, limit });
      expect(ids).toEqual(ids.toSorted().reverse());
      expect(ids.toSorted()).toEqual(started.toSorted());
    }
    const { data, next_cursor } = await engine.client.listExecutions({ template, limit: 30 });
    expect([data.length, next_cursor]).toEqual([30, null]);
  });

  test('stay right while rows are added and removed between them', async () => {
    const template = await engine.publish(NOOP);
    const before = [...(await put(template, 40)), ...(await put(template, 20))].sort().reverse();
    const removed = new Set<string>();
    const added = new Set<string>();
    const remove = async (ids: readonly (string | undefined)[]) => {
      const present = ids.filter((id) => id !== undefined);
      for (const id of present) removed.add(id);
      await database.pool.query(`delete from pgboss.job where data ->> 'execution_id' = any($1)`, [present]);
      await database.pool.query('delete from workflow_executions where id = any($1::uuid[])', [present]);
    };
    const seen = await walk(
      (cursor) => engine.client.listExecutions({ template, limit: 7, cursor }),
      async (sofar, page) => {
        for (const id of await put(template, 3)) added.add(id);
        const last = before.indexOf(sofar.at(-1)!.execution_id);
        // The row the cursor stands on, one that was seen, the next one, and one far ahead.
        await remove([before[last], before[last - 2], before[last + 1], before[last + 12 + page]]);
      },
    );
    const ids = idsOf({ data: seen });
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids).toEqual(ids.toSorted().reverse());
    const stayed = before.filter((id) => !removed.has(id));
    expect(removed.size).toBeGreaterThan(10);
    expect(stayed.filter((id) => !ids.includes(id))).toEqual([]);
    expect(ids.filter((id) => !before.includes(id) && !added.has(id))).toEqual([]);
  });

  test('stay right while the rows change their status under a filter', async () => {
    const template = await engine.publish(NOOP);
    const before = (await put(template, 20)).sort().reverse();
    const seen = await walk(
      (cursor) => engine.client.listExecutions({ template, status: 'pending', limit: 4, cursor }),
      async (sofar) => {
        await engine.client.cancel(sofar.at(-1)!.execution_id);
      },
    );
    expect(idsOf({ data: seen })).toEqual(before);
    expect(await allIds({ template, status: 'cancelled' })).toHaveLength(4);
  });
});

describe('a filter of executions', () => {
  let first: string;
  let second: string;
  let pending: string[];
  let done: string;
  let failed: string;
  let ofA: string;

  beforeAll(async () => {
    first = await engine.publish({ ...NOOP, name: 'First_100.filter' });
    second = await engine.publish({
      name: 'second-filter',
      steps: { a: { type: 'fail', with: { code: 'c', message: 'm' } } },
    });
    pending = await put(first, 3, ['Red', 'a,b']);
    done = await engine.start(first, { tags: ['{"x"}', "it's", 'Red\\'] });
    failed = await engine.start(second, { tags: ['red', '100%', 'a_b'] });
    await Promise.all([done, failed].map((id) => engine.end(id)));
    // Nobody publishes for workspaces here: the rows say whose they are.
    ofA = (await put(first, 1))[0]!;
    await database.pool.query('update workflow_executions set workspace_id = $2 where id = $1', [ofA, A]);
  });

  const found = async (filter: ExecutionFilter) => (await allIds(filter)).sort();

  test('status and template', async () => {
    expect(await found({ template: first })).toEqual([...pending, done, ofA].sort());
    expect(await found({ template: first, status: 'pending' })).toEqual([...pending, ofA].sort());
    expect(await found({ template: first, status: 'completed' })).toEqual([done]);
    expect(await found({ template: second, status: 'failed' })).toEqual([failed]);
    expect(await found({ template: second, status: 'paused' })).toEqual([]);
    // A template is named whole and as it is written.
    for (const template of ['first_100.filter', 'First', 'nobody'])
      expect(await found({ template })).toEqual([]);
  });

  test('workspace_id', async () => {
    expect(await found({ workspace_id: A })).toEqual([ofA]);
    expect(await found({ workspace_id: A.toUpperCase() })).toEqual([ofA]);
    expect(await found({ workspace_id: B })).toEqual([]);
  });

  test('tag, whole and as it is written', async () => {
    expect(await found({ tag: 'Red' })).toEqual(pending.toSorted());
    expect(await found({ tag: 'red' })).toEqual([failed]);
    expect(await found({ tag: 'a,b' })).toEqual(pending.toSorted());
    for (const tag of ['{"x"}', "it's", 'Red\\']) expect(await found({ tag })).toEqual([done]);
    expect(await found({ tag: '100%' })).toEqual([failed]);
    for (const tag of ['a', 'b', '{x}', '%', '_', 'Re', "' or true --"])
      expect(await found({ tag })).toEqual([]);
  });

  test('q, part of an id, a template name or a tag, in any case, and never a pattern', async () => {
    expect(await found({ q: done })).toEqual([done]);
    expect(await found({ q: done.slice(9).toUpperCase() })).toEqual([done]);
    expect(await found({ q: 'SECOND-fil' })).toEqual([failed]);
    expect(await found({ q: 'first_1' })).toEqual([...pending, done, ofA].sort());
    expect(await found({ q: 'RED\\' })).toEqual([done]);
    expect(await found({ q: 'red', template: first })).toEqual([...pending, done].sort());
    expect(await found({ q: 'a_b' })).toEqual([failed]);
    for (const q of ['a%b', '%%', '__', 'first_1_0', "' or true --", '\\\\'])
      expect(await found({ q })).toEqual([]);
  });

  test('q, what is exactly so first, and the parts after it', async () => {
    const key = `order-${crypto.randomUUID()}`;
    const longer = await engine.start(first, { idempotency_key: `${key}-2`, start_after: '1h' });
    const exact = await engine.start(first, { idempotency_key: key, start_after: '1h' });
    const later = await engine.start(first, { tags: [`x${key}`], start_after: '1h' });
    expect(await allIds({ q: key })).toEqual([exact, later, longer]);
    expect(await allIds({ q: key, limit: 1 })).toEqual([exact, later, longer]);
    const code = `code_${crypto.randomUUID()}`.slice(0, 40);
    const fails = { steps: { a: { type: 'fail', with: { code, message: 'm' } } } };
    const { execution_id: id } = await engine.run(fails);
    for (const q of [code, code.toUpperCase(), code.slice(3, 30)]) expect(await found({ q })).toEqual([id]);
  });

  test('sort=duration: those that have ended, the one that ran longest first', async () => {
    const slow = await engine.publish({ steps: { a: { type: 'noop' } } });
    const ids: string[] = [];
    for (let n = 0; n < 3; n += 1) ids.push(await engine.start(slow));
    await Promise.all(ids.map((id) => engine.end(id)));
    await database.pool.query(
      `update workflow_executions e set completed_at = e.started_at + u.ms * interval '1 ms'
         from unnest($1::uuid[], $2::integer[]) u(id, ms) where e.id = u.id`,
      [ids, [1, 400, 150]],
    );
    await put(slow, 1);
    const longest = [ids[1], ids[2], ids[0]] as string[];
    for (const limit of [1, 2, 50])
      expect(await allIds({ template: slow, sort: 'duration', limit })).toEqual(longest);
    const { next_cursor } = await engine.client.listExecutions({ template: slow, limit: 1 });
    const other = `${EXECUTIONS}?sort=duration&cursor=${next_cursor}`;
    const { errors } = await refusal(database.pool, () => fetch(`${engine.url}${other}`), [
      422,
      'validation_failed',
    ]);
    expect(errors).toMatchObject([{ pointer: '/cursor', code: 'invalid_cursor' }]);
  });

  test('since and until: from the one, up to and without the other, in any zone', async () => {
    const { rows } = await database.pool.query(
      'select id, created_at, created_at::text as exact from workflow_executions where id = any($1::uuid[]) order by created_at',
      [[pending[0], done, failed]],
    );
    const [, middle] = rows;
    const at = (middle.created_at as Date).toISOString();
    const after = new Date((middle.created_at as Date).getTime() + 1).toISOString();
    const both = await found({ since: at, until: after });
    expect(both).toContain(middle.id);
    expect(await found({ since: after })).not.toContain(middle.id);
    expect(await found({ until: at })).not.toContain(middle.id);
    expect(await found({ until: at })).toContain(pending[0]!);
    expect(await found({ since: at })).toContain(failed);
    const east = `${new Date(Date.parse(at) + 9 * 3_600_000).toISOString().slice(0, -1)}+09:00`;
    expect(await found({ since: east, until: after })).toEqual(both);
    expect(await found({ since: after, until: at })).toEqual([]);
    // At the very instant of a row: since has it, until has not.
    await database.pool.query(
      `update workflow_executions set created_at = '2001-02-03T04:05:06.007Z' where id = $1`,
      [done],
    );
    const instant = '2001-02-03T04:05:06.007Z';
    expect(await found({ since: instant, until: '2002-01-01T00:00:00Z' })).toEqual([done]);
    expect(await found({ until: instant })).toEqual([]);
  });

  test('all of them together, and in pages', async () => {
    const filter = {
      status: 'pending',
      template: first,
      tag: 'Red',
      q: 'first',
      since: '2020-01-01T00:00:00Z',
      until: '2999-01-01T00:00:00Z',
    } as const;
    expect(await found({ ...filter, limit: 2 })).toEqual(pending.toSorted());
    expect(await found({ ...filter, workspace_id: A })).toEqual([]);
  });
});

describe('the pages of templates', () => {
  test('hold the latest version of every name once while names and versions come and go', async () => {
    const prefix = `walk-${crypto.randomUUID()}`;
    const publish = (name: string, description = '') =>
      engine.publish({ name: `${prefix}-${name}`, description, ...NOOP });
    const names: string[] = [];
    for (let at = 10; at < 40; at++) names.push(await publish(`${at}`));
    for (const name of ['Z', 'z', '_', '.']) names.push(await publish(name));
    const archived = new Set<string>();
    const seen = await walk(
      (cursor) => engine.client.listTemplates({ limit: 5, cursor }),
      async (_sofar, page) => {
        const last = names[Math.min(page * 5, 33)]!;
        await publish(`${10 + page * 5}`, `version 2 of page ${page}`);
        await publish(`${39 - page}`, `version 2 from page ${page}`);
        await publish(`added-${page}`);
        for (const name of [last, names[page * 5 + 9]].filter(
          (one) => one !== undefined && !archived.has(one),
        )) {
          await engine.client.archiveTemplate(name!);
          archived.add(name!);
        }
      },
    );
    const found = seen.map(({ name }) => name);
    expect(new Set(found).size).toBe(found.length);
    expect(names.filter((name) => !archived.has(name) && !found.includes(name))).toEqual([]);
    const { data } = await engine.client.listTemplates({ limit: 500 });
    for (const { name, version } of data)
      expect(version).toBe((await engine.client.getTemplate(name)).version);
    const listed = new Set(data.map(({ name }) => name));
    for (const name of archived)
      expect(listed.has(name)).toBe((await engine.client.getTemplate(name)).archived_at === null);
  });

  test.each([1, 2, 500])('of %d are in one order', async (limit) => {
    const names = (await walk((cursor) => engine.client.listTemplates({ limit, cursor }))).map(
      ({ name }) => name,
    );
    expect(names).toEqual((await engine.client.listTemplates({ limit: 500 })).data.map(({ name }) => name));
    expect(new Set(names).size).toBe(names.length);
  });
});

describe('what is no cursor or limit of a list is 422', () => {
  const get = (list: string, query: string) => () => fetch(`${engine.url}${list}?${query}`);
  const refuse = async (list: string, query: string, code: string) => {
    const pointer = query.startsWith('limit') ? '/limit' : '/cursor';
    const { errors } = await refusal(database.pool, get(list, query), [422, 'validation_failed']);
    expect(errors).toMatchObject([{ pointer, code }]);
  };

  test.each([EXECUTIONS, TEMPLATES])('%s', async (list) => {
    await put(await engine.publish(NOOP), 2);
    const response = await get(list, 'limit=1')();
    const { next_cursor: good } = (await response.json()) as { next_cursor: string };
    expect((await get(list, `limit=1&cursor=${good}`)()).status).toBe(200);
    const encode = (text: string) => Buffer.from(text).toString('base64url');
    const bad = [
      'x',
      '-',
      '!!!',
      'null',
      '0',
      crypto.randomUUID(),
      encode('1:'),
      encode(`1:${crypto.randomUUID()}`),
      encode('nobody:a'),
      encode('executions:\u0000'),
      encode('templates:a\u0000'),
      encode(`executions:${crypto.randomUUID()}\n`),
      encode('templates:a\n'),
      `${good}=`,
      `${good}A`,
      `A${good}`,
      good.slice(0, 4),
      Buffer.from(Buffer.from(good, 'base64url').toString(), 'utf16le').toString('base64url'),
    ];
    for (const cursor of bad) await refuse(list, `cursor=${encodeURIComponent(cursor)}`, 'invalid_cursor');
    await refuse(list, 'cursor=', 'too_small');
    await refuse(list, `cursor=${'x'.repeat(1_001)}`, 'too_big');
    await refuse(list, `cursor=${good}&cursor=${good}`, 'repeated');
    for (const limit of ['-1', '1.5', 'x', '', '00001', '1e2'])
      await refuse(list, `limit=${limit}`, 'wrong_format');
    await refuse(list, 'limit=0', 'too_small');
    await refuse(list, 'limit=501', 'too_big');
  });

  test('a cursor of the other list', async () => {
    // More than a page of both.
    for (let at = 0; at < 2; at += 1) await put(await engine.publish(NOOP), 1);
    const cursorOf = async (list: string) =>
      ((await (await get(list, 'limit=1')()).json()) as { next_cursor: string }).next_cursor;
    await refuse(EXECUTIONS, `cursor=${await cursorOf(TEMPLATES)}`, 'invalid_cursor');
    await refuse(TEMPLATES, `cursor=${await cursorOf(EXECUTIONS)}`, 'invalid_cursor');
    // Also a name that looks like an id.
    const name = `00000000${crypto.randomUUID().slice(8)}`;
    await engine.publish({ name, ...NOOP });
    const { next_cursor } = await engine.client.listTemplates({ limit: 1 });
    expect(next_cursor).not.toBeNull();
    await refuse(EXECUTIONS, `cursor=${next_cursor}`, 'invalid_cursor');
  });

  test.each([
    'stauts=failed',
    'status=done',
    'template=no%20name',
    'workspace_id=mine',
    'tag=',
    `tag=${'x'.repeat(129)}`,
    'q=',
    `q=${'x'.repeat(201)}`,
    'since=yesterday',
    'since=2027-01-01',
    'since=2027-01-01T00:00:00',
    'since=2027-02-30T00:00:00Z',
    'since=0000-01-01T00:00:00Z',
    'until=0001-01-01T00:00:00%2B23:59',
    'until=9999-12-31T23:59:59-23:59',
    `until=2027-01-01T00:00:00.${'1'.repeat(60)}Z`,
    'status=failed&status=running',
  ])('%s', async (query) => {
    await refusal(database.pool, get(EXECUTIONS, query), [422, 'validation_failed']);
  });

  test('an instant in a zone that the database does not know is understood all the same', async () => {
    expect((await get(EXECUTIONS, 'since=2020-01-01T00:00:00%2B23:59')()).status).toBe(200);
    expect((await get(EXECUTIONS, 'until=2020-01-01T00:00:00.123456789-16:30')()).status).toBe(200);
  });
});
