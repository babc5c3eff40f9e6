import { expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { connectionFailure, MAX_CONNECTIONS, withConnectionAdvice } from './connection-limit.ts';

const REFUSED = Object.assign(new Error('too many connections for role "engine"'), { code: '53300' });

test('a database that gives no more connections is told with how many a process opens, and where limits are', () => {
  for (const text of [connectionFailure(REFUSED), (withConnectionAdvice(REFUSED) as Error).message])
    for (const part of [
      'role "engine"',
      `up to ${MAX_CONNECTIONS} connections`,
      'connection limit',
      'max_connections',
    ])
      expect(text).toContain(part);
  expect(withConnectionAdvice(REFUSED)).toMatchObject({ code: '53300' });
});

test('other errors say what they said', () => {
  const other = new Error('gone');
  expect(connectionFailure(other)).toBe('gone');
  expect(withConnectionAdvice(other)).toBe(other);
});

test('the documentation has the same number', () => {
  for (const page of ['operations', 'databases']) {
    const text = readFileSync(new URL(`../../docs/${page}.md`, import.meta.url), 'utf8');
    expect(text).toContain(`up to ${MAX_CONNECTIONS} connections`);
  }
});
