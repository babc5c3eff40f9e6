/**
 * The addresses that an outgoing call may reach: the public internet, and those that the operator allows.
 *
 * Not here: the call itself (client.ts), and a firewall, which is still wise to have.
 *
 * 1. Every address a name resolves to must be permitted, or none is used.
 * 2. The call connects to the checked addresses: the caller pins those returned here.
 * 3. An address that is not certainly public is refused: of IPv6 only 2000::/3 without its special ranges.
 */
import type { LookupAddress } from 'node:dns';
import { lookup } from 'node:dns/promises';
import ipaddr from 'ipaddr.js';
import { StepFailure } from '../step-type.ts';

type Address = ipaddr.IPv4 | ipaddr.IPv6;
type Range = [Address, number];

/** One permitted target; a null port is any port. */
type AllowRule = { port: number | null } & ({ range: Range } | { name: string; subdomains: boolean });

export type AllowList = readonly AllowRule[];

/** Resolves a host name to all its addresses; tests inject their own. */
export type Resolver = (hostname: string) => Promise<LookupAddress[]>;

const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR('2000::/3');
/** Public by their range, but answered by the cloud's own host. */
const METADATA_HOSTS: ReadonlySet<string> = new Set(['168.63.129.16']);

const WITH_PORT = /^(?:\[(?<six>[^\]]+)\]|(?<host>[^:[\]/]+)):(?<port>\d{1,5})$/;
const NAME =
  /^(?:\*\.)?(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;

/**
 * Reads the entries of EXECUTION_ENGINE_HTTP_ALLOW: `10.0.0.0/8`, `10.1.2.3`, `::1`, `stock.internal`,
 * `*.svc.cluster.local` (names below it), and with one port `10.1.2.3:8080`, `[::1]:8080`, `stock.internal:8080`.
 * Throws an Error with one line per entry that cannot be read.
 */
export function parseAllowList(entries: readonly string[]): AllowList {
  const problems: string[] = [];
  const rules: AllowRule[] = [];
  for (const entry of entries) {
    const rule = parseEntry(entry);
    if (rule === null) {
      problems.push(
        `"${entry}" is no address, CIDR or host name (such as 10.0.0.0/8, ::1 or stock.internal:8080)`,
      );
    } else rules.push(rule);
  }
  if (problems.length > 0) throw new Error(problems.join('\n'));
  return rules;
}

/** Returns whether an entry of EXECUTION_ENGINE_HTTP_ALLOW can be read. */
export function isAllowEntry(entry: string): boolean {
  return parseEntry(entry) !== null;
}

function parseEntry(text: string): AllowRule | null {
  const entry = text.trim().toLowerCase();
  const match = WITH_PORT.exec(entry)?.groups;
  const port = match === undefined ? null : Number(match.port);
  if (port !== null && (port < 1 || port > 65535)) return null;
  const target = match === undefined ? entry.replace(/^\[(.*)\]$/, '$1') : (match.six ?? match.host ?? '');
  const range = parseRange(target);
  if (range !== null) return { range, port };
  // An all-digit last label is a mistyped address, never a name.
  const name = target.replace(/\.$/, '');
  if (!NAME.test(name) || /(?:^|\.)\d+$/.test(name)) return null;
  return { name: name.replace(/^\*\./, ''), subdomains: name.startsWith('*.'), port };
}

function parseRange(text: string): Range | null {
  if (ipaddr.IPv4.isValidCIDRFourPartDecimal(text) || ipaddr.IPv6.isValidCIDR(text))
    return ipaddr.parseCIDR(text);
  if (!ipaddr.IPv4.isValidFourPartDecimal(text) && !ipaddr.IPv6.isValid(text)) return null;
  const address = ipaddr.process(text);
  return [address, address.kind() === 'ipv4' ? 32 : 128];
}

/** Returns whether an address (IPv4 in four decimal parts, or IPv6) belongs to the public internet. */
export function isPublicAddress(address: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  const parsed = ipaddr.process(address);
  if (parsed.range() !== 'unicast' || METADATA_HOSTS.has(parsed.toString())) return false;
  return parsed.kind() === 'ipv4' || parsed.match(GLOBAL_UNICAST);
}

/** The operator allows addresses, or names with all their addresses. */
function isAllowed(host: string, address: string, port: number, allow: AllowList): boolean {
  const parsed = ipaddr.process(address);
  return allow.some((rule) => {
    if (rule.port !== null && rule.port !== port) return false;
    if ('range' in rule) return rule.range[0].kind() === parsed.kind() && parsed.match(rule.range);
    return rule.subdomains ? host.endsWith(`.${rule.name}`) : host === rule.name;
  });
}

/** `[::1]` without its brackets, `example.com.` without its dot. */
export function bareHost(hostname: string): string {
  return hostname
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '')
    .toLowerCase();
}

const resolveAll: Resolver = (hostname) => lookup(hostname, { all: true, order: 'verbatim' });

export interface Target {
  /** As `URL` gives it: the decimal, octal and hexadecimal forms of an IPv4 address are already in four parts. */
  hostname: string;
  port: number;
  /** The host as messages show it; empty: none was given. */
  shown: string;
}

/**
 * The addresses of a host, each of them permitted. Throws StepFailure `http_blocked_address`, or the error of the
 * resolver.
 */
export async function permittedAddresses(
  { hostname, port, shown }: Target,
  allow: AllowList,
  resolve: Resolver = resolveAll,
): Promise<LookupAddress[]> {
  const host = bareHost(hostname);
  const literal = ipaddr.isValid(host);
  const addresses = literal ? [{ address: host, family: host.includes(':') ? 6 : 4 }] : await resolve(host);
  if (addresses.length === 0) throw Object.assign(new Error(`${host} has no address`), { code: 'ENOTFOUND' });
  for (const { address } of addresses) {
    if (!isPublicAddress(address) && !isAllowed(host, address, port, allow))
      throw blocked(shown, address, literal);
  }
  return addresses;
}

function blocked(host: string, address: string, literal: boolean): StepFailure {
  const what = literal ? address : `${host} resolves to ${address}, which`;
  return new StepFailure(
    'http_blocked_address',
    `${what} is not a public address: outgoing calls may not reach it. If they should, the operator adds "${literal ? address : host}" or a CIDR to EXECUTION_ENGINE_HTTP_ALLOW`,
    { details: { host, address } },
  );
}
