/**
 * `sslmode` means what it means to PostgreSQL's own clients, on a real server with TLS and without; what keeps an engine
 * from its database is said in a line that names the variable and the way out.
 */
import { expect, test } from 'bun:test';
import pg from 'pg';
import { checkServer } from '../../../db/connection/server-check.ts';
import { connectionConfig } from '../../../db/connection/session.ts';
import { startTlsServer, type TlsServer } from '../../support/database/tls-server.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { assertInvariants } from '../../support/invariants.ts';

let server: TlsServer;

const fixture = fixtureForAll(async () => {
  server = await fixture.use(startTlsServer(), ({ stop }) => stop());
});

type Host = 'localhost' | '127.0.0.1';
type Root = 'authority' | 'stranger' | null;

function urlOf(mode: string | null, root: Root = null, host: Host = 'localhost'): string {
  const url = new URL(server.url);
  url.hostname = host;
  if (mode !== null) url.searchParams.set('sslmode', mode);
  if (root !== null) url.searchParams.set('sslrootcert', server[root]);
  return url.href;
}

/** Whether the engine's connections are encrypted, or what it says instead. */
async function outcome(url: string): Promise<boolean | string> {
  let usable: string;
  try {
    usable = (await checkServer(url)).url;
  } catch (error) {
    const { message } = error as Error;
    expect(message).toStartWith('DATABASE_URL names a database that cannot be used (');
    expect(message).not.toContain(new URL(server.url).password);
    return message;
  }
  const client = new pg.Client(connectionConfig(usable, { applicationName: 'test' }));
  await client.connect();
  const { rows } = await client.query('select ssl from pg_stat_ssl where pid = pg_backend_pid()');
  await client.end();
  return rows[0].ssl;
}

const UNTRUSTED = /nobody that is trusted here has signed its certificate: .*sslrootcert/;
const OTHER_NAME = /its certificate is for another host name/;
const NOT_OFFERED = /the server offers no TLS, and sslmode=[a-z-]+ asks for it: .*sslmode=disable/;

test.each<
  [mode: string | null, root: Root, host: Host, offered: boolean | RegExp, notOffered: boolean | RegExp]
>([
  [null, null, 'localhost', false, false],
  ['disable', null, 'localhost', false, false],
  ['prefer', null, 'localhost', true, false],
  ['require', null, 'localhost', true, NOT_OFFERED],
  ['require', null, '127.0.0.1', true, NOT_OFFERED],
  ['require', 'authority', '127.0.0.1', true, NOT_OFFERED],
  ['require', 'stranger', 'localhost', UNTRUSTED, NOT_OFFERED],
  ['verify-ca', 'authority', 'localhost', true, NOT_OFFERED],
  ['verify-ca', 'authority', '127.0.0.1', true, NOT_OFFERED],
  ['verify-ca', 'stranger', 'localhost', UNTRUSTED, NOT_OFFERED],
  ['verify-full', 'authority', 'localhost', true, NOT_OFFERED],
  ['verify-full', 'authority', '127.0.0.1', OTHER_NAME, NOT_OFFERED],
  ['verify-full', 'stranger', 'localhost', UNTRUSTED, NOT_OFFERED],
  ['verify-full', null, 'localhost', UNTRUSTED, NOT_OFFERED],
])('sslmode=%s with the root %p at %s', async (mode, root, host, offered, notOffered) => {
  for (const [tls, expected] of [
    ['on', offered],
    ['off', notOffered],
  ] as const) {
    await server.turn(tls);
    const found = await outcome(urlOf(mode, root, host));
    if (expected instanceof RegExp) expect(String(found)).toMatch(expected);
    else expect(found).toBe(expected);
  }
});

test('an engine works with sslmode=verify-full, on all its connections', async () => {
  await server.turn('on');
  const url = urlOf('verify-full', 'authority');
  const engine = await fixture.engine({
    url,
    recordsUrl: server.url,
    config: { EXECUTION_ENGINE_STEPS: '' },
  });
  const { status } = await engine.run({ steps: { a: { type: 'noop' }, b: { type: 'noop', needs: ['a'] } } });
  expect(status).toBe('completed');
  const { rows } = await engine.engine.pool.query(
    `select count(*)::integer as open, count(*) filter (where not s.ssl)::integer as plain
       from pg_stat_activity a join pg_stat_ssl s using (pid) where a.application_name like 'engine/%'`,
  );
  expect(rows[0].open).toBeGreaterThan(5);
  expect(rows[0].plain).toBe(0);
  await assertInvariants(server.url);
  await engine.stop();
});

test('a user without rights is told what to grant, and that is enough', async () => {
  const admin = new pg.Client({ connectionString: server.url });
  await admin.connect();
  await admin.query(`create role poor login password 'poor-secret'`);
  await admin.query('create database poor_db');
  await admin.end();
  const url = Object.assign(new URL(server.url), { pathname: '/poor_db' });
  const owner = new pg.Client({ connectionString: url.href });
  Object.assign(url, { username: 'poor', password: 'poor-secret' });
  const options = { url: url.href, recordsUrl: server.url, config: { EXECUTION_ENGINE_STEPS: '' } };
  const { message } = await fixture.engine(options).then(
    () => new Error('it started'),
    (error: Error) => error,
  );
  expect(message).toStartWith('DATABASE_URL names a user who lacks rights: permission denied');
  expect(message).not.toContain('poor-secret');
  await owner.connect();
  await owner.query(message.split('gives them with: ')[1]!);
  await owner.end();
  const engine = await fixture.engine(options);
  expect((await engine.run({ steps: { a: { type: 'noop' } } })).status).toBe('completed');
  await assertInvariants(url.href);
  await engine.stop();
});
