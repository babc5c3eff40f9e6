/**
 * The URL of a database, read as PostgreSQL's own clients read it: its faults, and the TLS mode it asks for.
 *
 * Not here: whether the server behind it can be used (server-check.ts).
 *
 * Invariant: messages about a URL contain nothing of it but the names of its parameters and of certificate files.
 */
import { readFileSync } from 'node:fs';

const TLS_MODES = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full'];
const CERTIFICATES = ['sslrootcert', 'sslcert', 'sslkey'];
/** All of libpq's modes but `allow`. */
const ACCEPTED_MODES = `accepted here: ${TLS_MODES.join(', ')}`;
const TLS_NEGOTIATIONS = ['postgres', 'direct'];
/** The parameters that have an effect here. */
const ACCEPTED = [
  ...['host', 'port', 'user', 'password', 'application_name', 'options'],
  ...['sslmode', 'sslnegotiation', ...CERTIFICATES],
];
/** Parameters about TLS that node-postgres reads differently from libpq, or that are ignored here. */
const OF_TLS =
  /^(ssl|uselibpqcompat|requiressl|ssl.+|gssencmode|channel_binding|require_auth|target_session_attrs)$/;
/** Advice for parameters that libpq or other clients know, by name. */
const INSTEAD: Readonly<Record<string, string>> = {
  dbname: 'the name of the database comes after the host, as in host:5432/name',
  database: 'the name of the database comes after the host, as in host:5432/name',
  db: 'the name of the database comes after the host, as in host:5432/name',
  hostaddr: 'write the address as the host',
  schema: 'write options=-c%20search_path%3Dname for it',
  search_path: 'write options=-c%20search_path%3Dname for it',
  client_encoding: 'leave it out: the engine always uses UTF-8',
  pgbouncer: 'leave it out: the engine notices a pooler by itself',
};
/** Timeouts, keepalives and sizes of pools: the engine has settings of its own, and each session has them. */
const SET_BY_ENGINE = /timeout|keepalive|connection_?limit|pool/i;

/** Returns the fault, as the rest of a sentence whose subject is the variable; null: none. */
export function findUrlFault(url: string): string | null {
  const rest = /^postgres(?:ql)?:\/\/(\S+)$/.exec(url)?.[1];
  if (rest === undefined) return 'is not a PostgreSQL URL';
  return findSpellingFault(rest) ?? findParameterFault(rest);
}

function findSpellingFault(rest: string): string | null {
  const raw = (character: string, code: string) =>
    `has a raw ${character} in its user name or password; write ${code} for it`;
  if (rest.includes('#')) return raw('#', '%23');
  if (/%(?![0-9a-f]{2})/i.test(rest)) return raw('%', '%25');
  const [place = '', query = ''] = splitOnce(rest, '?');
  if (!place.includes('/') && /@.*\//.test(query)) return raw('?', '%3F');
  const at = place.lastIndexOf('@');
  if (place.indexOf('@') !== at) return raw('@', '%40');
  if (place.slice(0, at + 1).includes('/')) return raw('/', '%2F');
  const hosts = splitOnce(place.slice(at + 1), '/')[0];
  if (hosts.includes(',') || /(^|&)(host|port)=[^&]*(,|%2c)/i.test(query))
    return 'names several hosts; accepted: one, such as the address of a pooler or proxy that knows which is the primary';
  const port = /:([^:\]]*)$/.exec(hosts)?.[1];
  if (port !== undefined && !isPort(port)) return 'has a port that is no number from 1 to 65535';
  if (!isReadable(place)) return 'has a host name or an encoded character that cannot be read';
  return null;
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}

function isPort(text: string): boolean {
  return text === '' || (/^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535);
}

/** Returns whether a place can be parsed. It may lack a host, which is then a parameter or the default. */
function isReadable(place: string): boolean {
  try {
    decodeURIComponent(place);
    return (
      URL.canParse(`postgres://${place}`) || URL.canParse(`postgres://${place.replace(/(^|@)\//, '$1host/')}`)
    );
  } catch {
    return false;
  }
}

function findParameterFault(rest: string): string | null {
  const parameters = new URLSearchParams(splitOnce(rest, '?')[1]);
  const met = new Set<string>();
  for (const name of parameters.keys()) {
    const fault = ACCEPTED.includes(name) ? null : unknownParameter(name, met);
    if (fault !== null) return fault;
    if (met.has(name)) return `has the parameter ${name} twice; write it once`;
    met.add(name);
  }
  const port = parameters.get('port');
  if (port !== null && !isPort(port)) return 'has a port that is no number from 1 to 65535';
  const mode = parameters.get('sslmode');
  if (mode !== null && !TLS_MODES.includes(mode)) {
    const instead = mode === 'no-verify' ? '; what no-verify does is sslmode=require' : '';
    return `has an sslmode that is not accepted; ${ACCEPTED_MODES}${instead}`;
  }
  const negotiation = parameters.get('sslnegotiation');
  if (negotiation !== null && !TLS_NEGOTIATIONS.includes(negotiation))
    return `has an sslnegotiation that is not accepted; accepted here: ${TLS_NEGOTIATIONS.join(', ')}`;
  const given = CERTIFICATES.filter((name) => parameters.get(name) !== null);
  if (given.length > 0 && mode === null) return `has ${given[0]} without sslmode; write sslmode=verify-full`;
  if (mode === 'verify-ca' && !given.includes('sslrootcert'))
    return 'has sslmode=verify-ca without sslrootcert, the file of the certificate authority; name it, or write sslmode=verify-full';
  for (const name of given) {
    const fault = findFileFault(parameters.get(name)!);
    if (fault !== null) return `has ${name}=${parameters.get(name)}, a file that cannot be read: ${fault}`;
  }
  return null;
}

/**
 * Returns the fault of a parameter that has no effect here: such a one would be ignored.
 * @param before names of the parameters before it: after a password the name may be a part of it
 */
function unknownParameter(name: string, before: ReadonlySet<string>): string {
  if (before.has('password'))
    return 'has an unknown parameter after the password; write %26 for a & in a password';
  if (!/^[a-z_]{1,40}$/i.test(name))
    return `has a parameter whose name is none; known here: ${ACCEPTED.join(', ')}`;
  if (OF_TLS.test(name))
    return `has the parameter ${name}, which is not accepted; TLS is asked for by sslmode, sslrootcert, sslcert and sslkey`;
  if (Object.hasOwn(INSTEAD, name)) return `has the parameter ${name}; ${INSTEAD[name]}`;
  if (SET_BY_ENGINE.test(name))
    return `has the parameter ${name}; leave it out: the engine sets its own timeouts, keepalives and pools`;
  return `has the unknown parameter ${name}; known here: ${ACCEPTED.join(', ')}`;
}

function findFileFault(path: string): string | null {
  try {
    readFileSync(path);
    return null;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'no such file';
  }
}

/** Returns the URL for node-postgres, in which `sslmode` has the same meaning as in libpq. */
export function withLibpqModes(url: string): string {
  return /[?&]sslmode=/.test(url) ? `${url}&uselibpqcompat=true` : url;
}

export function tlsModeOf(url: string): string {
  return new URLSearchParams(splitOnce(url, '?')[1]).get('sslmode') ?? 'disable';
}

/** Returns the same URL with another `sslmode`. */
export function withTlsMode(url: string, mode: string): string {
  return url.replace(/([?&]sslmode=)[^&]*/, `$1${mode}`);
}

/** Returns the target of the URL, for messages: host, port and database. */
export function placeOf(url: string): string {
  const [place, query] = splitOnce(url.replace(/^\w+:\/\//, ''), '?');
  const host = new URLSearchParams(query).get('host');
  const shown = place.slice(place.lastIndexOf('@') + 1);
  return host === null ? shown : `${host}${shown}`;
}
