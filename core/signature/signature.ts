/**
 * Signatures of requests that come in: who has the secret sent this body, and not long ago.
 *
 * Every scheme is an HMAC with SHA-256. Signatures are compared in constant time.
 *
 * Invariant: a request without the headers of its scheme is refused, as one with a wrong signature is.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';

export const SIGNATURE_SCHEMES = ['standard-webhooks', 'github', 'stripe', 'hmac'] as const;
export type SignatureScheme = (typeof SIGNATURE_SCHEMES)[number];

export interface Signature {
  readonly scheme: SignatureScheme;
  readonly secret: string;
}

export interface SignedRequest {
  /** @param name in lower case */
  header(name: string): string | undefined;
  readonly body: Uint8Array;
}

export type SignatureFault = 'missing' | 'wrong' | 'too_old';

/** Clocks of both sides may differ by as much. */
const WINDOW_SECONDS = 300;
const MAX_CANDIDATES = 16;
const WHSEC = 'whsec_';

/** @param now seconds since 1970 @returns null when the signature is right */
export function signatureFault(
  { scheme, secret }: Signature,
  request: SignedRequest,
  now: number,
): SignatureFault | null {
  const found = READERS[scheme](request);
  if (found === null) return 'missing';
  const { timestamp, signed, key = secret, encoding, signatures } = { ...found, ...keyOf(scheme, secret) };
  const wanted = createHmac('sha256', key).update(signed).update(request.body).digest();
  const given = signatures.slice(0, MAX_CANDIDATES).map((text) => Buffer.from(text, encoding));
  if (!given.some((one) => one.length === wanted.length && timingSafeEqual(one, wanted))) return 'wrong';
  if (timestamp === null) return null;
  return Math.abs(now - timestamp) <= WINDOW_SECONDS ? null : 'too_old';
}

interface Found {
  /** Seconds since 1970; null: the scheme has none. */
  readonly timestamp: number | null;
  /** What is signed before the body. */
  readonly signed: string;
  readonly encoding: 'hex' | 'base64';
  readonly signatures: readonly string[];
}

function keyOf(scheme: SignatureScheme, secret: string): { key?: Buffer } {
  if (scheme !== 'standard-webhooks') return {};
  const text = secret.startsWith(WHSEC) ? secret.slice(WHSEC.length) : secret;
  return { key: Buffer.from(text, 'base64') };
}

const READERS: Readonly<Record<SignatureScheme, (request: SignedRequest) => Found | null>> = {
  /** `webhook-signature: v1,<base64> …` of `<webhook-id>.<webhook-timestamp>.<body>`. */
  'standard-webhooks': ({ header }) => {
    const id = header('webhook-id');
    const timestamp = secondsOf(header('webhook-timestamp'));
    const list = header('webhook-signature');
    if (id === undefined || timestamp === null || list === undefined) return null;
    const signatures = list.split(' ').flatMap((entry) => (entry.startsWith('v1,') ? entry.slice(3) : []));
    return { timestamp, signed: `${id}.${timestamp}.`, encoding: 'base64', signatures };
  },
  /** `x-hub-signature-256: sha256=<hex>` of the body. */
  github: ({ header }) => withoutTime(header('x-hub-signature-256')),
  /** `stripe-signature: t=<seconds>,v1=<hex>,…` of `<seconds>.<body>`. */
  stripe: ({ header }) => {
    const entries = (header('stripe-signature') ?? '').split(',').map((entry) => entry.trim().split('='));
    const timestamp = secondsOf(entries.find(([name]) => name === 't')?.[1]);
    const signatures = entries.flatMap(([name, value]) =>
      name === 'v1' && value !== undefined ? value : [],
    );
    if (timestamp === null || signatures.length === 0) return null;
    return { timestamp, signed: `${timestamp}.`, encoding: 'hex', signatures };
  },
  /** `x-signature: [sha256=]<hex>` of the body, or of `<x-timestamp>.<body>` when that header is there. */
  hmac: ({ header }) => {
    const found = withoutTime(header('x-signature'));
    const written = header('x-timestamp');
    if (found === null || written === undefined) return found;
    const timestamp = secondsOf(written);
    return timestamp === null ? null : { ...found, timestamp, signed: `${timestamp}.` };
  },
};

function withoutTime(header: string | undefined): Found | null {
  if (header === undefined) return null;
  return { timestamp: null, signed: '', encoding: 'hex', signatures: [header.replace(/^sha256=/, '')] };
}

function secondsOf(text: string | undefined): number | null {
  return text !== undefined && /^\d{1,12}$/.test(text) ? Number(text) : null;
}
