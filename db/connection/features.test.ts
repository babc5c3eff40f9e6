import { expect, test } from 'bun:test';
import { featuresOf, routeTo } from './features.ts';

const URL = 'postgres://pooler/db';
const DIRECT = 'postgres://server/db';

test('PostgreSQL has everything, and any other backend nothing that is not had everywhere', () => {
  expect(Object.values(featuresOf('postgres'))).not.toContain(false);
  for (const backend of ['citus', 'cockroachdb', 'yugabytedb'] as const)
    expect(Object.values(featuresOf(backend))).not.toContain(true);
});

test('a direct way is used for everything', () => {
  const { work, long, sessionUrl } = routeTo(URL);
  expect([work.url, long.url, sessionUrl]).toEqual([URL, URL, URL]);
  expect(work.session).toEqual({ pooled: false, portable: false });
});

test('a way past the pooler is used for what needs a session, and the pooler for transactions', () => {
  const { work, long, sessionUrl } = routeTo(URL, { isPooled: true, directUrl: DIRECT });
  expect(work).toEqual({ url: URL, session: { pooled: true, portable: false } });
  expect(long).toEqual({ url: DIRECT, session: { pooled: false, portable: false } });
  expect(sessionUrl).toBe(DIRECT);
});

test('without one nothing needs a session', () => {
  const { work, long, sessionUrl } = routeTo(URL, { isPooled: true, backend: 'citus' });
  expect(long).toEqual(work);
  expect(work.session).toEqual({ pooled: true, portable: true });
  expect(sessionUrl).toBeNull();
});
