/**
 * Turns the text of one environment variable into a value: a zod schema per kind of value.
 *
 * A schema's message has only the problem ("is not a whole number"); config.ts puts the name before it and the accepted
 * values behind it. Messages never repeat a value: some of these are secrets.
 */
import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import ipaddr from 'ipaddr.js';
import { z } from 'zod';
import { placeOf, scanJson } from '../core/json/json-scan.ts';
import { parseDurationText } from '../core/time/duration.ts';
import { findUrlFault } from '../db/connection/database-url.ts';
import { isUuid } from '../db/uuid.ts';
import { type MailAddress, parseAddress } from '../steps/email/address.ts';
import { readSmtpUrl, type SmtpServer } from '../steps/email/smtp-server.ts';
import { isAllowEntry } from '../steps/http/address.ts';

export const KEY_ROLES = ['viewer', 'operator', 'editor', 'admin'] as const;
export type KeyRole = (typeof KEY_ROLES)[number];

/** An API key as the engine knows it: the key itself is not kept. */
export interface ApiKey {
  /** sha-256 of the key, lower-case hex. */
  readonly hash: string;
  /** May do everything in every workspace. */
  readonly admin: boolean;
  /** Null for an admin key. */
  readonly workspaceId: string | null;
  readonly role: KeyRole;
}

type Schema<T> = z.ZodType<T, string>;
type Report = (problem: string) => void;

/** A schema from a function that reports problems; its result is then not used. */
function parsed<T>(parse: (text: string, report: Report) => T): Schema<T> {
  return z.string().transform((text, context): T => {
    const report = (message: string) => context.addIssue({ code: 'custom', message });
    return parse(text, report);
  });
}

export function text(pattern: RegExp, problem: string): Schema<string> {
  return z.string().regex(pattern, problem);
}

export function oneOf<const T extends string>(values: readonly T[]): Schema<T> {
  return z.enum(values, { error: `is none of ${values.join(', ')}` }) as unknown as Schema<T>;
}

export function integer(smallest: number, largest: number): Schema<number> {
  return z
    .string()
    .regex(/^\d{1,16}$/, 'is not a whole number')
    .transform(Number)
    .pipe(z.number().min(smallest, `is less than ${smallest}`).max(largest, `is more than ${largest}`));
}

const BYTE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1_000,
  mb: 1_000_000,
  gb: 1_000_000_000,
  kib: 1_024,
  mib: 1_048_576,
  gib: 1_073_741_824,
};

export function bytes(smallest: number, largest: number): Schema<number> {
  return parsed((value, report) => {
    const match = /^(\d{1,15})\s*([kmg]?i?b)?$/i.exec(value);
    const unit = BYTE_UNITS[match?.[2]?.toLowerCase() ?? ''];
    const size = Number(match?.[1]) * (unit ?? Number.NaN);
    if (Number.isNaN(size)) report('is not a size');
    else if (size < smallest) report(`is less than ${smallest} bytes`);
    else if (size > largest) report(`is more than ${largest} bytes`);
    return size;
  });
}

/** A plain number counts in MiB. */
export function memory(smallest: number, largest: number): Schema<number> {
  const size = bytes(smallest, largest);
  return z
    .string()
    .transform((value) => (/^\d+$/.test(value) ? `${value}MiB` : value))
    .pipe(size) as Schema<number>;
}

export function duration(smallestMs: number, largestMs: number): Schema<number> {
  return parsed((value, report) => {
    const ms = parseDurationText(value);
    if (ms === null) report('is not a duration');
    else if (ms < smallestMs) report(`is shorter than ${smallestMs} ms`);
    else if (ms > largestMs) report(`is longer than ${largestMs} ms`);
    return ms ?? 0;
  });
}

/** Null for `none`. */
export function durationOrNone(smallestMs: number, largestMs: number): Schema<number | null> {
  const given = duration(smallestMs, largestMs);
  return z.union([z.literal('none').transform(() => null), given], {
    error: 'is neither none nor such a duration',
  });
}

export function databaseUrl(): Schema<string> {
  return parsed((value, report) => {
    const fault = findUrlFault(value);
    if (fault !== null) report(fault);
    return value;
  });
}

const HOST_NAME =
  /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/i;

/** `localhost`, a host name, or an address (IPv6 with or without brackets). */
export function host(): Schema<string> {
  return parsed((value, report) => {
    const bare = value.replace(/^\[(.*)\]$/, '$1');
    if (!ipaddr.isValid(bare) && !isHostName(bare)) report('is neither a host name nor an address');
    return bare;
  });
}

function isHostName(value: string): boolean {
  // A last label of digits only is a mistyped address, such as 10.0.0.300.
  return HOST_NAME.test(value) && !/(^|\.)\d+$/.test(value);
}

/** Returns whether a server bound to it can be reached from this machine only. */
export function isLoopback(value: string): boolean {
  if (value.toLowerCase() === 'localhost') return true;
  return ipaddr.isValid(value) && ipaddr.process(value).range() === 'loopback';
}

/** The entries of a comma list, trimmed; an empty one is reported. */
function entries(value: string, report: Report): string[] {
  const found = value.split(',').map((entry) => entry.trim());
  const empty = found.indexOf('');
  if (empty >= 0) report(`has an empty entry (number ${empty + 1} of ${found.length})`);
  return found.filter((entry) => entry !== '');
}

export function list(): Schema<readonly string[]> {
  return parsed(entries);
}

/** The entries as they are written; steps/http/address.ts reads them. */
export function httpAllow(): Schema<readonly string[]> {
  return parsed((value, report) => {
    const found = entries(value, report);
    for (const [index, entry] of found.entries()) {
      if (isAllowEntry(entry)) continue;
      report(
        `has an entry (number ${index + 1}) that is no CIDR, address or host name, with or without a port`,
      );
    }
    return found;
  });
}

/** Without a slash at its end. */
export function publicUrl(): Schema<string> {
  return parsed((value, report) => {
    const url = URL.parse(value);
    if (url === null || !/^https?:$/.test(url.protocol)) report('is not an http or https URL');
    else if (url.username !== '' || url.password !== '') report('has a user name or a password');
    else if (url.search !== '' || url.hash !== '') report('has a query or a fragment');
    return (url?.href ?? '').replace(/\/+$/, '');
  });
}

export function smtpServer(): Schema<SmtpServer> {
  return parsed((value, report) => {
    const server = readSmtpUrl(value);
    if (typeof server !== 'string') return server;
    report(server);
    return undefined as never;
  });
}

export function mailAddress(): Schema<MailAddress> {
  return parsed((value, report) => {
    const address = parseAddress(value);
    if (address === null) report('is not a mail address');
    return address as MailAddress;
  });
}

export function httpUrl(): Schema<string> {
  return parsed((value, report) => {
    const url = URL.parse(value);
    if (url === null) report('is not a URL');
    else if (!/^https?:$/.test(url.protocol)) report('has another scheme than http and https');
    else if (url.username !== '' || url.password !== '') report('has a user or password');
    else if (/[?#]/.test(value)) report('has a query or fragment');
    else if (url.port === '0') report('has the port 0, on which nothing listens');
    else if (!isAllowEntry(url.hostname)) report('has a host that is neither a name nor an address');
    return value;
  });
}

/** Shorter ones could not be masked without maiming data. */
export function bearerKey(): Schema<string> {
  return parsed((value, report) => {
    if (value.length < SHORTEST_SECRET) report(`is shorter than ${SHORTEST_SECRET} characters`);
    if (/[^\x21-\x7e]/.test(value)) report('has characters that do not fit into a header');
    return value;
  });
}

const SHORTEST_KEY = 16;

export function apiKeys(): Schema<readonly ApiKey[]> {
  return parsed((value, report) => {
    const keys = new Map<string, ApiKey>();
    for (const [index, entry] of entries(value, report).entries()) {
      const key = toApiKey(entry);
      const which = `key number ${index + 1}`;
      if (typeof key === 'string') report(`${which} ${key}`);
      else if (keys.has(key.hash)) report(`${which} is the same as an earlier one`);
      else keys.set(key.hash, key);
    }
    return [...keys.values()];
  });
}

/** The key, or its problem. */
function toApiKey(entry: string): ApiKey | string {
  // Keys may end in '=' (base64); the grant behind them has none.
  const split = entry.lastIndexOf('=');
  const key = entry.slice(0, Math.max(split, 0)).trim();
  const grant = entry.slice(split + 1).trim();
  if (split < 0 || grant === '') return 'does not say what it grants';
  if (key.length < SHORTEST_KEY) return `is shorter than ${SHORTEST_KEY} characters`;
  if (/[^\x21-\x7e]/.test(key)) return 'has characters that do not fit into a header';
  const hash = createHash('sha256').update(key).digest('hex');
  if (grant === 'admin') return { hash, admin: true, workspaceId: null, role: 'admin' };
  const [workspace = '', role = 'admin', ...rest] = grant.split(':');
  if (!isUuid(workspace)) return 'grants neither admin nor a workspace uuid';
  const known = KEY_ROLES.find((name) => name === role);
  if (known === undefined || rest.length > 0) return `has a role that is none of ${KEY_ROLES.join(', ')}`;
  return { hash, admin: false, workspaceId: workspace.toLowerCase(), role: known };
}

export const SHORTEST_SECRET = 8;
const SECRET_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Reads the file. Its values are never part of a message. */
export function secretsFile(): Schema<Readonly<Record<string, string>>> {
  return parsed((path, report) => {
    const secrets: Record<string, string> = Object.create(null);
    const content = readJson(path, report);
    if (content === undefined) return secrets;
    if (typeof content !== 'object' || content === null || Array.isArray(content)) {
      report('names a file that is not a JSON object');
      return secrets;
    }
    for (const [name, value] of Object.entries(content)) {
      if (!SECRET_NAME.test(name))
        report(`has the name ${JSON.stringify(name)}, which no expression can use`);
      else if (typeof value !== 'string') report(`has a value of ${name} that is not a string`);
      else if ([...value].length < SHORTEST_SECRET) {
        report(
          `has a value of ${name} that is shorter than ${SHORTEST_SECRET} characters: masking it would maim data`,
        );
      } else secrets[name] = value;
    }
    return secrets;
  });
}

const MAX_FILE_DEPTH = 64;

function readJson(path: string, report: Report): unknown {
  let content: string;
  try {
    content = readFileSync(path, 'utf8');
  } catch (error) {
    report(`names a file that cannot be read (${(error as NodeJS.ErrnoException).code})`);
    return undefined;
  }
  const text = content.replace(/^\uFEFF/, '');
  const fault = scanJson(text, MAX_FILE_DEPTH);
  if (fault === null) return JSON.parse(text);
  // The parser's own message may quote a value.
  const what = fault.kind === 'duplicate_key' ? 'has a name twice' : 'is not valid JSON';
  report(`names a file that ${what} (line ${placeOf(text, fault.offset).line})`);
  return undefined;
}

/** Returns whether other users of the machine may read the file. */
export function isReadableByOthers(path: string): boolean {
  return process.platform !== 'win32' && (statSync(path).mode & 0o007) !== 0;
}

/** For names that are known and refused. */
export function unsupported<T>(problem: string): Schema<T> {
  return parsed((_, report) => {
    report(problem);
    return undefined as T;
  });
}
