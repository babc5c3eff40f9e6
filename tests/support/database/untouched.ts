/**
 * That a request changed nothing: a checksum over every row of every table that work leaves its marks in.
 *
 * Only of use while nothing runs: an engine that works changes rows by itself.
 */
import { expect } from 'bun:test';
import type pg from 'pg';
import type { ProblemDocument } from '../../../api/errors.ts';
import { problemOf } from '../api/test-app.ts';

const TABLES = [
  'workflow_templates',
  'workflow_step_templates',
  'workflow_executions',
  'workflow_step_executions',
  'workflow_input_tracker',
  'pgboss.job',
];

/** `{ table: "<rows> <md5>" }`. */
export async function checksums(pool: pg.Pool): Promise<Record<string, string>> {
  const columns = TABLES.map(
    (table) =>
      `(select count(*) || ' ' || md5(coalesce(string_agg(t::text, '' order by id), '')) from ${table} t) as "${table}"`,
  );
  const { rows } = await pool.query(`select ${columns.join(', ')}`);
  return rows[0];
}

/** The problem of a response that must be a refusal with this status and code, and must have changed no row. */
export async function refusal(
  pool: pg.Pool,
  send: () => Promise<Response>,
  [status, code]: readonly [number, string],
): Promise<ProblemDocument & { headers: Headers }> {
  const before = await checksums(pool);
  const response = await send();
  const problem = await problemOf(response, status, code);
  const { type, title, detail, request_id, errors, ...rest } = problem;
  expect(rest).toEqual({ status, code } as typeof rest);
  expect(type).toBe(`urn:execution-engine:problem:${code}`);
  expect([title, detail].every((text) => text.length > 0)).toBe(true);
  expect(response.headers.get('x-request-id')).toBe(request_id);
  if (status === 422 && code === 'validation_failed') expect(errors).not.toBeEmpty();
  for (const error of errors ?? []) {
    expect(Object.keys(error).sort()).toEqual(['code', 'message', 'pointer']);
    expect(error.pointer).toMatch(/^(\/|$)/);
  }
  expect(await checksums(pool)).toEqual(before);
  return { ...problem, headers: response.headers };
}
