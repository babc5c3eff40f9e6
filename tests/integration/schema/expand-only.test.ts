/**
 * Migrations expand and do not contract: engines of the version before go on beside the new schema.
 */
import { describe, expect, test } from 'bun:test';
import pg from 'pg';
import { type TestDatabase, testDatabase } from '../../support/database/database.ts';
import { type Catalog, contractions, readCatalog } from '../../support/database/schema-changes.ts';
import { migrateUpTo, migrationNames } from '../../support/database/schema-versions.ts';
import { fixtureForAll } from '../../support/fixture.ts';

let database: TestDatabase;
let client: pg.Client;

fixtureForAll(async (fixture) => {
  database = await fixture.use(testDatabase(), ({ drop }) => drop());
  client = await fixture.use(new pg.Client({ connectionString: database.url }), (each) => each.end());
  await client.connect();
});

test('every migration after the first leaves what was there as it was', async () => {
  const names = await migrationNames();
  expect(names.length).toBeGreaterThan(1);
  let before: Catalog | null = null;
  for (const [at, name] of names.entries()) {
    await migrateUpTo(database.url, at + 1);
    const after = await readCatalog(client);
    if (before !== null) expect({ name, wrong: contractions(before, after) }).toEqual({ name, wrong: [] });
    before = after;
  }
});

const BASE = `
  create table one (
    id int primary key, name text, size int default 1, kind text,
    constraint one_kind check (kind in ('a', 'b')));
  create table two (id int primary key);
  create view ones as select id from one;
  create function answer() returns int language sql as 'select 42';`;

async function wrongOf(sql: string): Promise<string[]> {
  await client.query('begin; create schema example; set local search_path = example');
  try {
    await client.query(BASE);
    const before = await readCatalog(client);
    await client.query(sql);
    return contractions(before, await readCatalog(client));
  } finally {
    await client.query('rollback');
  }
}

describe('what is found', () => {
  for (const [sql, ...wrong] of [
    ['drop table two', 'table two is gone'],
    ['alter table two rename to three', 'table two is gone'],
    ['alter table one drop column name', 'column one.name is gone'],
    ['alter table one rename name to title', 'column one.name is gone'],
    ['alter table one add column more int not null', 'column one.more is new and must be written'],
    ['alter table one alter name set not null', 'column one.name refuses null'],
    ['alter table one alter size drop default', 'column one.size has lost its default'],
    [
      'alter table one alter name type varchar(10)',
      'table one is written anew',
      'column one.name is character varying(10) instead of text',
    ],
    [
      'alter table one alter size type bigint',
      'table one is written anew',
      'column one.size is bigint instead of integer',
    ],
    ['alter table one add column at timestamptz default clock_timestamp()', 'table one is written anew'],
    ['alter table one add constraint sized check (size > 0)', 'constraint sized of one is new'],
    ['alter table one add constraint sized check (size > 0) not valid', 'constraint sized of one is new'],
    ['alter table one add foreign key (size) references two', 'constraint one_size_fkey of one is new'],
    ['create unique index named on one (name)', 'constraint named of one is new'],
    [
      "alter table one drop constraint one_kind, add constraint one_kind check (kind in ('a', 'c'))",
      'constraint one_kind of one is new',
    ],
    [
      "alter table one drop constraint one_kind, add constraint one_kind check (name in ('a', 'b', 'c'))",
      'constraint one_kind of one is new',
    ],
    ['alter table one enable row level security', 'table one hides rows'],
    [
      `create function refuse() returns trigger language plpgsql as 'begin return null; end';
       create trigger refuses before insert on one for each row execute function refuse()`,
      'trigger refuses on one is new',
    ],
    ['drop view ones', 'relation ones is gone'],
    ['drop function answer()', 'function answer() returns integer is gone'],
    ["do $$ begin execute 'alter table ' || 'one drop col' || 'umn name'; end $$", 'column one.name is gone'],
  ] as const) {
    test(sql.replace(/\s+/g, ' '), async () => {
      expect(await wrongOf(sql)).toEqual([...wrong]);
    });
  }
});

describe('what is no harm', () => {
  for (const sql of [
    'create table three (id int primary key, must text not null check (must > $$$$))',
    'alter table one add column more int',
    'alter table one add column more int not null default 0',
    'create index named on one (name)',
    "alter table one drop constraint one_kind, add constraint one_kind check (kind in ('a', 'b', 'c')) not valid",
    'alter table one drop constraint one_kind',
    'alter table one alter size set default 2, set (fillfactor = 50)',
    'create or replace function answer() returns int language sql as $$select 43$$',
  ]) {
    test(sql, async () => {
      expect(await wrongOf(sql)).toEqual([]);
    });
  }
});
