import { expect, test } from 'bun:test';
import { forbiddenIn } from './portable-guard.ts';

test.each([
  ['select 1 from t for update skip locked', 'SKIP LOCKED'],
  ['SELECT pg_try_advisory_xact_lock(1)', 'an advisory lock'],
  ['  listen "channel"', 'LISTEN'],
  ['delete from pgboss.job where id in (select id from pgboss.job for update skip locked)', 'SKIP LOCKED'],
  ["select pg_notify('a', 'b')", 'NOTIFY'],
  [
    'with gone as (delete from a returning id) delete from b using gone where b.id = gone.id',
    'several mutations in one statement',
  ],
  ['WITH x AS (INSERT INTO a VALUES (1)) UPDATE s.b AS t SET c = 1', 'several mutations in one statement'],
])('%p is found', (text, what) => {
  expect(forbiddenIn(text)).toBe(what);
});

test.each([
  'with mine as (select 1 from t for update) update t set a = 1',
  'with i as (insert into a values (1) on conflict (id) do update set b = 1 returning 1) select count(*) from i',
  "select l.objid from pg_locks l where l.locktype = 'advisory'",
  'begin',
  'DELETE FROM pgboss.instance WHERE id IN (SELECT id FROM pgboss.instance FOR UPDATE SKIP LOCKED)',
])('%p passes', (text) => {
  expect(forbiddenIn(text)).toBeNull();
});
