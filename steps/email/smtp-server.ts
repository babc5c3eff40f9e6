/**
 * The mail server that a URL names: `smtp://user:password@host:port`, or `smtps://` for TLS from the first byte.
 *
 * A connection by `smtp://` changes to TLS when the server offers it. A password goes over TLS only, unless the server is
 * on this machine or the URL says `requireTLS=false`.
 */
import { isIP } from 'node:net';
import type { MailAddress } from './address.ts';

/** Plain data: it travels to the processes that send. */
export interface MailSettings {
  /** EXECUTION_ENGINE_SMTP_URL; null: not set. */
  readonly server: SmtpServer | null;
  /** EXECUTION_ENGINE_MAIL_FROM; null: not set. */
  readonly sender: MailAddress | null;
}

export interface SmtpServer {
  readonly host: string;
  readonly port: number;
  /** TLS from the first byte. */
  readonly secure: boolean;
  /** Without TLS nothing is sent. */
  readonly requireTls: boolean;
  /** TLS is not asked for. */
  readonly ignoreTls: boolean;
  /** Whether the server's certificate has to be one that this machine trusts. */
  readonly verify: boolean;
  /** Null: the server asks for none. */
  readonly login: { readonly user: string; readonly pass: string } | null;
}

export const SMTP_URL_ACCEPTED =
  'a URL such as smtp://user:password@host:587, or smtps:// for TLS from the start, with requireTLS=true|false, ignoreTLS=true or tls.rejectUnauthorized=false behind a ? where needed';

const PORTS: Readonly<Record<string, number>> = { 'smtp:': 587, 'smtps:': 465 };
const FLAGS: readonly string[] = ['requireTLS', 'ignoreTLS', 'tls.rejectUnauthorized'];

/** Returns the server, or the fault of the text, which does not repeat the text. */
export function readSmtpUrl(text: string): SmtpServer | string {
  const url = URL.parse(text);
  if (url === null) return 'is not a URL';
  const port = PORTS[url.protocol];
  if (port === undefined) return 'has a scheme that is neither smtp:// nor smtps://';
  if (url.hostname === '') return 'names no host';
  if (url.pathname.length > 1 || url.hash !== '') return 'has more than a host, a port and settings';
  if (url.port === '0') return 'names the port 0';
  const login = readLogin(url);
  if (typeof login === 'string') return login;
  const flags = readFlags(url.searchParams);
  if (typeof flags === 'string') return flags;
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const isLocal =
    host.toLowerCase() === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
  const secure = url.protocol === 'smtps:';
  const requireTls = !secure && (flags.get('requireTLS') ?? (login !== null && !isLocal));
  const ignoreTls = flags.get('ignoreTLS') ?? false;
  if (requireTls && ignoreTls) return 'asks for TLS and ignores it';
  const verify = flags.get('tls.rejectUnauthorized') ?? true;
  return { host, port: Number(url.port) || port, secure, requireTls, ignoreTls, verify, login };
}

/** Returns the name that the server's certificate is asked for: an address has none. */
export function serverName({ host }: SmtpServer): string {
  return isIP(host) === 0 ? host : '';
}

function readLogin({ username, password }: URL): SmtpServer['login'] | string {
  if (username === '' && password === '') return null;
  try {
    const [user, pass] = [decodeURIComponent(username), decodeURIComponent(password)];
    return user === '' || pass === ''
      ? 'has a user without a password, or the other way round'
      : { user, pass };
  } catch {
    return 'has a user or password with a % that begins no escape: write %25';
  }
}

function readFlags(parameters: URLSearchParams): Map<string, boolean> | string {
  const flags = new Map<string, boolean>();
  for (const [name, value] of parameters) {
    if (!FLAGS.includes(name) || flags.has(name))
      return `has a setting that is not one of ${FLAGS.join(', ')}, each once`;
    if (value !== 'true' && value !== 'false') return `has a value of ${name} that is neither true nor false`;
    flags.set(name, value === 'true');
  }
  return flags;
}
