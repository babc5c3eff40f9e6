/** What is wrong with the URL of a database, said without a word of its password. */
import { expect, test } from 'bun:test';
import { findUrlFault, placeOf, withTlsMode } from './database-url.ts';

const FILE = import.meta.path;

test.each([
  'postgres://user:password@host:5432/name',
  'postgresql://host/name',
  'postgres:///name?host=/run/postgresql',
  'postgres://user@/name?host=/run/postgresql',
  'postgres://user:p%23a%40s%2Fs%25@host/name',
  'postgres://user:p:a:ss@[::1]:5432/name',
  'postgres://host:5432',
  'postgres://host/name?application_name=a%20b&options=-c%20search_path%3Dengine',
  'postgres://user%40azure:secret@host/name?sslmode=require',
  'postgres://host/name?sslmode=disable',
  'postgres://host/name?sslmode=prefer',
  'postgres://host/name?sslmode=verify-full',
  'postgres://host/name?sslmode=require&sslnegotiation=direct',
  'postgres:///name?host=/run/postgresql&port=5433&user=me&password=secret',
  `postgres://host/name?sslmode=verify-ca&sslrootcert=${FILE}`,
  `postgres://host/name?sslmode=verify-full&sslrootcert=${FILE}&sslcert=${FILE}&sslkey=${FILE}`,
])('%s is one', (url) => {
  expect(findUrlFault(url)).toBeNull();
});

test.each([
  ['postgres://user:s3cr#et@host:5432/name', 'raw #'],
  ['postgres://user:12#34@host/name', 'raw #'],
  ['postgres://user:s3c@ret@host:5432/name', 'raw @'],
  ['postgres://user:s3c/ret@host:5432/name', 'raw /'],
  ['postgres://user:s3c?ret@host:5432/name', 'raw ?'],
  ['postgres://user:s3c%ret@host:5432/name', 'raw %'],
  ['postgres://user:s3cret%E0%A4@host:5432/name', 'cannot be read'],
  ['postgres://user:s3cret@one:5432,two:5432/name', 'several hosts'],
  ['postgres://user:s3cret@/name?host=one,two', 'several hosts'],
  ['postgres://user:s3cret@host:99999/name', 'a port that is no number from 1 to 65535'],
  ['postgres://user:s3cret@host:0/name', 'a port that is no number'],
  ['postgres://user:s3cret', 'a port that is no number'],
  ['postgres://user:s3cret@/name?host=one&port=65536', 'a port that is no number'],
  ['postgres://user:s3cret@ho^st/name', 'cannot be read'],
  ['mysql://user:s3cret@host/name', 'is not a PostgreSQL URL'],
  ['postgres://user:s3cret@host/na me', 'is not a PostgreSQL URL'],
  ['postgres://user:s3cret@host/name?sslmode=allow', 'accepted here: disable, prefer'],
  ['postgres://user:s3cret@host/name?sslmode=no-verify', 'sslmode=require'],
  ['postgres://user:s3cret@host/name?sslmode=verify-ca', 'without sslrootcert'],
  [
    'postgres://user:s3cret@host/name?sslmode=verify-full&sslrootcert=/no/such/file',
    'sslrootcert=/no/such/file',
  ],
  [`postgres://user:s3cret@host/name?sslrootcert=${FILE}`, 'without sslmode'],
  ['postgres://user:s3cret@host/name?ssl=true', 'the parameter ssl,'],
  ['postgres://user:s3cret@host/name?sslcrl=/x&sslmode=require', 'the parameter sslcrl'],
  ['postgres://user:s3cret@host/name?target_session_attrs=primary', 'the parameter target_session_attrs'],
  ['postgres://user:s3cret@host/name?sslmode=require&sslnegotiation=no', 'accepted here: postgres, direct'],
  ['postgres://user:s3cret@host/name?sslmode=disable&sslmode=require', 'the parameter sslmode twice'],
  ['postgres://user:s3cret@host/name?SSLMODE=require', 'the unknown parameter SSLMODE; known here: '],
  [
    'postgres://user:s3cret@host/name?aplication_name=x',
    'the unknown parameter aplication_name; known here: ',
  ],
  ['postgres://user:s3cret@host/name?nonsense=x', 'the unknown parameter nonsense; known here: host, port'],
  ['postgres://user:s3cret@host/name?connect_timeout=10', 'the parameter connect_timeout; leave it out'],
  ['postgres://user:s3cret@host/name?query_timeout=1', 'the parameter query_timeout; leave it out'],
  ['postgres://user:s3cret@host/name?keepalives=0', 'the parameter keepalives; leave it out'],
  ['postgres://user:s3cret@host/name?connection_limit=5', 'the parameter connection_limit; leave it out'],
  ['postgres://user:s3cret@host/name?binary=true', 'the unknown parameter binary'],
  ['postgres://user:s3cret@host/name?replication=database', 'the unknown parameter replication'],
  ['postgres://user:s3cret@host/?dbname=x', 'after the host'],
  ['postgres://user:s3cret@host/name?schema=engine', 'options=-c%20search_path%3D'],
  ['postgres://user:s3cret@host/name?client_encoding=latin1', 'UTF-8'],
  ['postgres://user:s3cret@host/name?a%20b=1', 'whose name is none'],
  ['postgres://host/name?user=me&password=abc&s3cret=x', 'write %26 for a &'],
])('%s: %s', (url, what) => {
  const fault = findUrlFault(url)!;
  expect(fault).toContain(what);
  expect(fault).not.toMatch(/s3c|ret@|12#34/);
});

test('a place has no password, and another mode changes nothing else', () => {
  expect(placeOf('postgres://user:s3cret@host:5432/name?sslmode=require')).toBe('host:5432/name');
  expect(placeOf('postgres://user:s3cret@/name?host=/run/postgresql')).toBe('/run/postgresql/name');
  expect(withTlsMode('postgres://h/n?a=1&sslmode=prefer&b=2', 'disable')).toBe(
    'postgres://h/n?a=1&sslmode=disable&b=2',
  );
});
