/**
 * TLS between the engine and its database: resolves `prefer`, and explains failed connections.
 */
import pg from 'pg';
import { tlsModeOf, withTlsMode } from './database-url.ts';
import { connectionConfig } from './session.ts';

const NOT_OFFERED = /server does not support SSL/i;

/**
 * Returns the URL to use. With `sslmode=prefer` the server is asked once: if it offers no TLS, none is used for as
 * long as the engine runs.
 */
export async function settleTls(url: string): Promise<string> {
  if (tlsModeOf(url) !== 'prefer') return url;
  const client = new pg.Client(connectionConfig(url, { applicationName: 'engine/check' }));
  client.on('error', () => {});
  try {
    await client.connect();
    return withTlsMode(url, 'require');
  } catch (error) {
    // Any other error will show again on the next connection.
    return NOT_OFFERED.test((error as Error).message) ? withTlsMode(url, 'disable') : url;
  } finally {
    await client.end().catch(() => {});
  }
}

const CERTIFICATE_CODES =
  /^(DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_(VERIFY_LEAF_SIGNATURE|GET_ISSUER_CERT(_LOCALLY)?)|CERT_(UNTRUSTED|SIGNATURE_FAILURE))$/;

/** Returns advice for a connection that failed because of TLS; null: TLS is not the cause. */
export function tlsAdvice(error: unknown, url: string): string | null {
  const { code, message } = error as { code?: unknown; message: string };
  const mode = tlsModeOf(url);
  if (NOT_OFFERED.test(message))
    return `the server offers no TLS, and sslmode=${mode} asks for it: turn on ssl at the server, or write sslmode=disable or prefer`;
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return 'its certificate is for another host name: connect by a name that it has, or write sslmode=verify-ca';
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID')
    return 'its certificate is not valid at this time: renew it, and look at the clocks';
  if (CERTIFICATE_CODES.test(String(code)))
    return 'nobody that is trusted here has signed its certificate: name the file of its certificate authority with sslrootcert, or write sslmode=require, which checks no certificate';
  if (code === '28000' && /no encryption|SSL off/i.test(message))
    return 'the server takes connections with TLS only: add sslmode=verify-full, or sslmode=require, to the URL';
  return null;
}
