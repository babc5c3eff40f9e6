/**
 * The right to call: API keys, roles, and the rules for an engine without any key.
 *
 * Not here: the objects that a caller sees (the services filter by workspace) and the source of the keys (config).
 *
 * Invariant 1: keys are compared by their SHA-256 in constant time, every configured key each time.
 * Invariant 2: without keys only loopback sockets are served, and only under a loopback name: a web page that
 * rebinds its DNS name to 127.0.0.1 sends its own name as Host, and a page of another site sends its Origin. A
 * proxy on this machine brings requests of others over loopback, and says so in a header.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import ipaddr from 'ipaddr.js';
import { EngineError } from '../core/problem.ts';
import type { Caller } from '../services/caller.ts';
import { WrongKeys } from './wrong-keys.ts';

/** From weak to strong; each may do what the ones before it may, in the workspace of the key. */
export const ROLES = ['viewer', 'operator', 'editor', 'admin'] as const;
export type Role = (typeof ROLES)[number];

/** A caller with the role of its key. */
export interface Identity extends Caller {
  readonly role: Role;
}

/** The right that a route requires: none, a role, or a key for the whole engine. */
export type Access = 'public' | Role | 'engine';

export interface ApiKey {
  /** SHA-256 of the key, hex. */
  readonly hash: string;
  /** Null for a key of the engine. */
  readonly workspaceId: string | null;
  /** Whether it is a key of the engine, which may do everything; a role `admin` ends at its workspace. */
  readonly admin: boolean;
  readonly role: Role;
}

/** The parts of a request that a policy reads. */
export interface Credentials {
  authorization: string | undefined;
  /** `host[:port]` as the client named it. */
  host: string;
  origin: string | undefined;
  remoteAddress: string | undefined;
  /** The header by which a proxy marks a forwarded request, if there is one. */
  forwardedBy: string | undefined;
}

/** The headers that proxies add to the requests they forward, lower case. */
export const FORWARDING_HEADERS = [
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip',
  'via',
] as const;

export interface AuthPolicy {
  /** Refuses a request that must not be served at all, before its route is looked up. Throws EngineError. */
  guard(credentials: Credentials): void;
  /** Throws EngineError `unauthorized` when there is no key or a wrong one, `too_many_requests` after too many wrong ones. */
  identify(credentials: Credentials): Identity;
}

const EVERYBODY: Identity = { workspaceId: null, admin: true, role: 'admin' };

/** The policy for the configured keys; without any, everybody on this machine is admin of the null workspace. */
export function createAuth({ keys }: { keys: readonly ApiKey[] }): AuthPolicy {
  if (keys.length === 0) return { guard: guardLoopback, identify: () => EVERYBODY };
  const known = keys.map((key) => ({ digest: Buffer.from(key.hash, 'hex'), identity: identityOf(key) }));
  const wrongKeys = new WrongKeys();
  return {
    guard: () => {},
    identify: ({ authorization, remoteAddress }) => {
      const digest = createHash('sha256').update(bearerToken(authorization)).digest();
      let found: Identity | null = null;
      for (const key of known) if (timingSafeEqual(key.digest, digest)) found = key.identity;
      if (found !== null) return found;
      wrongKeys.add(remoteAddress);
      throw new EngineError('unauthorized', 'The key is not known to this engine.');
    },
  };
}

/** Throws EngineError `forbidden` when the identity lacks the right that the route requires. */
export function requireAccess(identity: Identity, access: Exclude<Access, 'public'>): void {
  if (identity.admin) return;
  if (access === 'engine')
    throw new EngineError('forbidden', 'This call needs an admin key; the key belongs to a workspace.');
  if (ROLES.indexOf(identity.role) >= ROLES.indexOf(access)) return;
  throw new EngineError(
    'forbidden',
    `This call needs the role ${access}; the key has the role ${identity.role}.`,
  );
}

/** Throws EngineError `forbidden` when a caller other than an admin names another workspace than its own. */
export function requireWorkspace(identity: Identity, workspaceId: string | undefined): void {
  if (identity.admin || workspaceId === undefined || workspaceId === identity.workspaceId) return;
  throw new EngineError(
    'forbidden',
    'workspace_id names another workspace than the one of the key. Leave it out, or use an admin key.',
  );
}

function identityOf({ workspaceId, admin, role }: ApiKey): Identity {
  return { workspaceId: workspaceId === null ? null : workspaceId.toLowerCase(), admin, role };
}

function bearerToken(authorization: string | undefined): string {
  if (authorization === undefined) {
    throw new EngineError('unauthorized', 'This call needs a key: send it as "Authorization: Bearer <key>".');
  }
  const token = /^Bearer +(\S+) *$/i.exec(authorization)?.[1];
  if (token === undefined)
    throw new EngineError('unauthorized', 'The Authorization header is not "Bearer <key>".');
  return token;
}

function guardLoopback({ host, origin, remoteAddress, forwardedBy }: Credentials): void {
  if (!isLoopbackAddress(remoteAddress)) {
    throw new EngineError(
      'forbidden',
      'Without an API key the engine serves this machine only. Configure EXECUTION_ENGINE_API_KEYS to serve others.',
    );
  }
  if (forwardedBy !== undefined) {
    throw new EngineError(
      'forbidden',
      `Without an API key the engine serves this machine only, and a proxy has passed this request on (${forwardedBy}). Configure EXECUTION_ENGINE_API_KEYS to serve others behind a proxy.`,
    );
  }
  if (!isLoopbackHost(host)) {
    throw new EngineError(
      'forbidden',
      'Without an API key the engine answers only to a loopback name such as localhost.',
    );
  }
  if (origin !== undefined && originHost(origin) !== host.toLowerCase()) {
    throw new EngineError(
      'forbidden',
      'Without an API key the engine refuses requests that pages of other sites send.',
    );
  }
}

/** `127.0.0.0/8`, `::1`, and the IPv4 ones written as IPv6. */
export function isLoopbackAddress(address: string | undefined): boolean {
  return address !== undefined && ipaddr.isValid(address) && ipaddr.process(address).range() === 'loopback';
}

/** Returns whether `host[:port]` can only name this machine. */
export function isLoopbackHost(host: string): boolean {
  if (!URL.canParse(`http://${host}`)) return false;
  const { hostname } = new URL(`http://${host}`);
  if (hostname === 'localhost' || hostname.endsWith('.localhost')) return true;
  return isLoopbackAddress(hostname.replace(/^\[|\]$/g, ''));
}

function originHost(origin: string): string | null {
  return URL.canParse(origin) ? new URL(origin).host : null;
}
