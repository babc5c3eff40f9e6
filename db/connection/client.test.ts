import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import pg from 'pg';
import { type TestDatabase, testDatabase } from '../../tests/support/database/database.ts';
import { connectPipeline, createPool, type Pool, TransactionRolledBack, withTransaction } from './client.ts';
import { isConnectionError, sessionSettings } from './session.ts';

let database: TestDatabase;
let pool: Pool;
const session = { applicationName: 'engine/test' };

beforeAll(async () => {
  database = await testDatabase();
  // One connection: whatever is not given back stops the next test.
  pool = createPool(database.url, { ...session, max: 1 });
  await pool.query('create table note (id int primary key, text text)');
});

afterAll(async () => {
  await pool.end();
  await database.drop();
});

async function notes(): Promise<number[]> {
  const { rows } = await pool.query<{ id: number }>('select id from note order by id');
  await pool.query('delete from note');
  return rows.map(({ id }) => id);
}

/** Ends the sessions of an application from another one. */
async function terminate(applicationName: string): Promise<void> {
  const admin = new pg.Client({ connectionString: database.url });
  await admin.connect();
  await admin.query(
    'select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = $1',
    [applicationName],
  );
  await admin.end();
}

const failure = (work: Promise<unknown>) =>
  work.then(
    () => null,
    (error: unknown) => error as Error & { code?: string },
  );

describe('a session', () => {
  test('has the settings of the engine', async () => {
    const wanted = sessionSettings(session);
    const { rows } = await pool.query(
      'select lower(name) as name, setting, unit from pg_settings where lower(name) = any($1)',
      [Object.keys(wanted)],
    );
    const found = Object.fromEntries(
      rows.map(({ name, setting, unit }) => [name, `${setting}${unit ?? ''}`]),
    );
    expect(found).toEqual({
      ...wanted,
      timezone: 'UTC',
      lock_timeout: '5000ms',
      idle_in_transaction_session_timeout: '5000ms',
      client_connection_check_interval: '1000ms',
      tcp_keepalives_idle: '5s',
      tcp_keepalives_interval: '2s',
      statement_timeout: '15000ms',
      transaction_timeout: '30000ms',
    });
    const { rows: named } = await pool.query("select current_setting('application_name') as name");
    expect(named[0].name).toBe('engine/test');
  });

  test('keeps the options of its URL', async () => {
    const url = new URL(database.url);
    url.searchParams.set('options', '-c search_path=elsewhere');
    const own = createPool(url.href, { ...session, max: 1, statementTimeoutMs: 0 });
    const { rows } = await own.query(
      "select current_setting('search_path') as path, current_setting('statement_timeout') as t",
    );
    expect(rows).toEqual([{ path: 'elsewhere', t: '0' }]);
    await own.end();
  });

  test('reads bigint as a number and refuses one that is none', async () => {
    const { rows } = await pool.query('select 9007199254740991::bigint as big, count(*) as n from note');
    expect(rows).toEqual([{ big: Number.MAX_SAFE_INTEGER, n: 0 }]);
    const error = await failure(pool.query('select 9007199254740993::bigint'));
    expect(error?.message).toContain('9007199254740993');
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  });

  test('reads times as UTC, with and without zone, arrays included', async () => {
    const { rows } = await pool.query(
      "select '2026-07-01 12:00:00.123'::timestamp as local, '2026-07-01 12:00:00.123Z'::timestamptz as instant, '{1,2}'::bigint[] as list",
    );
    expect(rows[0].local).toEqual(new Date('2026-07-01T12:00:00.123Z'));
    expect(rows[0].instant).toEqual(new Date('2026-07-01T12:00:00.123Z'));
    expect((await pool.query("select 'infinity'::timestamp as t")).rows[0].t).toBe(Number.POSITIVE_INFINITY);
  });

  test('leaves the global parsers of node-pg alone', () => {
    expect(pg.types.getTypeParser(20, 'text')('1')).toBe('1');
  });
});

describe('a transaction', () => {
  test('is committed when its work returns', async () => {
    const result = await withTransaction(pool, async (tx) => {
      await tx.query('insert into note values (1)');
      return 'done';
    });
    expect(result).toBe('done');
    expect(await notes()).toEqual([1]);
  });

  test('is rolled back when its work throws, and throws the same', async () => {
    const thrown = new Error('no');
    const error = await failure(
      withTransaction(pool, async (tx) => {
        await tx.query('insert into note values (1)');
        throw thrown;
      }),
    );
    expect(error).toBe(thrown);
    expect(await notes()).toEqual([]);
  });

  test('with a failed statement whose error was swallowed does not pass for committed', async () => {
    const error = await failure(
      withTransaction(pool, async (tx) => {
        await tx.query('insert into note values (1)');
        await tx.query('select 1 / 0').catch(() => {});
      }),
    );
    expect(error).toBeInstanceOf(TransactionRolledBack);
    expect(await notes()).toEqual([]);
  });

  test('whose connection breaks in the middle fails as such, and the pool goes on', async () => {
    const error = await failure(
      withTransaction(pool, async (tx) => {
        await tx.query('insert into note values (1)');
        await terminate('engine/test');
        await tx.query('insert into note values (2)');
      }),
    );
    expect(isConnectionError(error)).toBe(true);
    expect(await notes()).toEqual([]);
  });

  test('whose work survives a broken connection fails at commit', async () => {
    const error = await failure(
      withTransaction(pool, async (tx) => {
        await tx.query('insert into note values (1)');
        await terminate('engine/test');
      }),
    );
    expect(isConnectionError(error)).toBe(true);
    expect(await notes()).toEqual([]);
  });

  test('that fails at commit throws what the server says', async () => {
    await pool.query('create table parent (id int primary key)');
    await pool.query('create table child (id int references parent deferrable initially deferred)');
    const error = await failure(withTransaction(pool, (tx) => tx.query('insert into child values (1)')));
    expect(error?.code).toBe('23503');
    expect(isConnectionError(error)).toBe(false);
  });
});

describe('a pool', () => {
  test('replaces a connection that breaks while idle, and tells', async () => {
    const told = Promise.withResolvers<Error>();
    const own = createPool(database.url, { applicationName: 'engine/idle', max: 1, onError: told.resolve });
    await own.query('select 1');
    await terminate('engine/idle');
    expect(isConnectionError(await told.promise)).toBe(true);
    expect((await own.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    await own.end();
  });

  test('without a server throws a connection error', async () => {
    const own = createPool('postgres://nobody@127.0.0.1:1/none', { ...session, max: 1 });
    expect(isConnectionError(await failure(own.query('select 1')))).toBe(true);
    await own.end();
  });
});

describe('a pipeline', () => {
  test('runs statements that are sent together as one transaction', async () => {
    const pipeline = await connectPipeline(database.url, session);
    const answers = await Promise.all([
      pipeline.query('begin'),
      pipeline.query('insert into note values ($1)', [1]),
      pipeline.query('insert into note values ($1) returning id', [2]),
      pipeline.query('commit'),
    ]);
    expect(answers.map(({ command }) => command)).toEqual(['BEGIN', 'INSERT', 'INSERT', 'COMMIT']);
    expect(answers[2]?.rows).toEqual([{ id: 2 }]);
    await pipeline.close();
    expect(await notes()).toEqual([1, 2]);
  });

  test('answers each of many statements with its own rows', async () => {
    const pipeline = await connectPipeline(database.url, session);
    const numbers = Array.from({ length: 500 }, (_, index) => index);
    const query = (value: number) =>
      pipeline.query({ name: 'echo', text: 'select $1::int as value', values: [value] });
    const answers = await Promise.all(numbers.map(query));
    expect(answers.map(({ rows }) => rows[0].value)).toEqual(numbers);
    await pipeline.close();
  });

  test('rolls a transaction back when a statement in the middle fails, and reports that one', async () => {
    const pipeline = await connectPipeline(database.url, session);
    const insert = (id: number) => ({ text: 'insert into note values ($1)', values: [id] });
    const error = await failure(pipeline.transaction([insert(1), insert(1), insert(2)]));
    expect(error?.code).toBe('23505');
    expect(await notes()).toEqual([]);
    const [first, second] = await pipeline.transaction([insert(3), 'select 4 as four']);
    expect(first?.rowCount).toBe(1);
    expect(second?.rows).toEqual([{ four: 4 }]);
    await pipeline.close();
    expect(await notes()).toEqual([3]);
  });

  test('keeps transactions apart that are sent at the same time', async () => {
    const pipeline = await connectPipeline(database.url, session);
    const batch = (ids: number[]) =>
      pipeline.transaction(ids.map((id) => ({ text: 'insert into note values ($1)', values: [id] })));
    const outcomes = await Promise.allSettled([batch([1, 2]), batch([3, 3]), batch([4, 1]), batch([5])]);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected', 'fulfilled']);
    await pipeline.close();
    expect(await notes()).toEqual([1, 2, 5]);
  });

  test('says when its connection is lost, and refuses what comes after', async () => {
    const pipeline = await connectPipeline(database.url, { applicationName: 'engine/lost' });
    expect(pipeline.usable).toBe(true);
    const pending = failure(pipeline.transaction(['insert into note values (1)', 'select pg_sleep(30)']));
    await terminate('engine/lost');
    expect(isConnectionError(await pending)).toBe(true);
    expect(await pipeline.lost).toBeInstanceOf(Error);
    expect(pipeline.usable).toBe(false);
    expect(isConnectionError(await failure(pipeline.query('select 1')))).toBe(true);
    await pipeline.close();
    expect(await notes()).toEqual([]);
  });

  test('finishes what was sent before it closes', async () => {
    const pipeline = await connectPipeline(database.url, session);
    const sent = pipeline.query('select 1 as one');
    await pipeline.close();
    expect((await sent).rows).toEqual([{ one: 1 }]);
    expect(await pipeline.lost).toBeNull();
  });

  test('that cannot connect throws', async () => {
    expect(isConnectionError(await failure(connectPipeline('postgres://x@127.0.0.1:1/x', session)))).toBe(
      true,
    );
  });
});

test('an error of the work itself is no connection error', () => {
  expect(isConnectionError(new Error('Connection lost in translation'))).toBe(false);
  expect(isConnectionError(null)).toBe(false);
});
