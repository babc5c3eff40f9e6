import { describe, expect, test } from 'bun:test';
import { createHmac } from 'node:crypto';
import { type Signature, type SignatureScheme, signatureFault } from './signature.ts';

const NOW = 1_800_000_000;
const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const BODY = '{"event_type":"ping"}';

const hex = (text: string) => createHmac('sha256', SECRET).update(text).digest('hex');
const base64 = (text: string) =>
  createHmac('sha256', Buffer.from(SECRET.slice(6), 'base64'))
    .update(text)
    .digest('base64');

/** The headers of a scheme at a time. */
const SIGNED: Record<SignatureScheme, (at: number) => Record<string, string>> = {
  'standard-webhooks': (at) => ({
    'webhook-id': 'msg_1',
    'webhook-timestamp': String(at),
    'webhook-signature': `v1a,other v1,${base64('another')} v1,${base64(`msg_1.${at}.${BODY}`)}`,
  }),
  github: () => ({ 'x-hub-signature-256': `sha256=${hex(BODY)}` }),
  stripe: (at) => ({ 'stripe-signature': `t=${at},v1=${hex('another')},v1=${hex(`${at}.${BODY}`)},v0=x` }),
  hmac: (at) => ({ 'x-signature': hex(`${at}.${BODY}`), 'x-timestamp': String(at) }),
};
const SCHEMES = Object.keys(SIGNED) as SignatureScheme[];
const TIMED = SCHEMES.filter((scheme) => scheme !== 'github');

function fault(scheme: SignatureScheme, headers: Record<string, string>, body = BODY, secret = SECRET) {
  const signature: Signature = { scheme, secret };
  const request = { header: (name: string) => headers[name], body: Buffer.from(body) };
  return signatureFault(signature, request, NOW);
}

describe('a signature', () => {
  test.each(SCHEMES)('of %s is right', (scheme) => {
    expect(fault(scheme, SIGNED[scheme](NOW))).toBeNull();
  });

  test('is that of the published example of standard webhooks', () => {
    const body = '{"test": 2432232314}';
    const headers = {
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    };
    expect(fault('standard-webhooks', headers, body)).toBe('too_old');
  });

  test.each([['hmac', { 'x-signature': `sha256=${hex(BODY)}` }]] as const)(
    'of %s may have no time',
    (scheme, headers) => {
      expect(fault(scheme, headers)).toBeNull();
    },
  );

  test.each(SCHEMES)('of %s is missing without its headers', (scheme) => {
    expect(fault(scheme, {})).toBe('missing');
    for (const name of Object.keys(SIGNED[scheme](NOW)).filter((one) => one !== 'x-timestamp')) {
      const { [name]: _, ...rest } = SIGNED[scheme](NOW);
      expect(fault(scheme, rest)).toBe('missing');
    }
  });

  test.each(SCHEMES)('of %s is wrong with another body, secret or time', (scheme) => {
    const headers = SIGNED[scheme](NOW);
    expect(fault(scheme, headers, `${BODY} `)).toBe('wrong');
    expect(fault(scheme, headers, BODY, 'whsec_AAAA')).toBe('wrong');
    expect(fault(scheme, { ...headers, 'webhook-id': 'msg_2' })).toBe(
      scheme === 'standard-webhooks' ? 'wrong' : null,
    );
    const later = JSON.stringify(headers).replaceAll(String(NOW), String(NOW + 1));
    if (scheme !== 'github') expect(fault(scheme, JSON.parse(later))).toBe('wrong');
  });

  test.each(TIMED)('of %s counts for five minutes', (scheme) => {
    for (const at of [NOW - 300, NOW + 300]) expect(fault(scheme, SIGNED[scheme](at))).toBeNull();
    for (const at of [NOW - 301, NOW + 301]) expect(fault(scheme, SIGNED[scheme](at))).toBe('too_old');
  });

  test.each(SCHEMES)('of %s is never right when it is empty or cut', (scheme) => {
    const headers = SIGNED[scheme](NOW);
    const [name] = Object.keys(headers).filter((one) => one.includes('signature'));
    for (const text of ['', 'v1,', 't=1,v1=', 'sha256=', headers[name!]!.slice(0, -10)])
      expect(fault(scheme, { ...headers, [name!]: text })).not.toBeNull();
  });
});
