import { describe, expect, test } from 'bun:test';
import { createTestApp, keyOf, problemOf } from '../tests/support/api/test-app.ts';
import { MAX_WRONG_KEYS, WrongKeys } from './wrong-keys.ts';

function counter() {
  const clock = { ms: 0 };
  const keys = new WrongKeys(() => clock.ms);
  /** Returns `counted`, or the seconds to wait. */
  const add = (address: string | undefined): number | 'counted' => {
    try {
      keys.add(address);
      return 'counted';
    } catch (error) {
      return (error as { retryAfterSeconds: number }).retryAfterSeconds;
    }
  };
  const fill = (address: string) => {
    for (let count = 0; count < MAX_WRONG_KEYS; count++) expect(add(address)).toBe('counted');
  };
  return { clock, keys, add, fill };
}

describe('wrong keys', () => {
  test('are counted twenty times within any minute', () => {
    const { clock, add } = counter();
    for (let count = 0; count < MAX_WRONG_KEYS; count++) {
      expect(add('203.0.113.7')).toBe('counted');
      clock.ms += 1_000;
    }
    expect(add('203.0.113.7')).toBe(40);
    clock.ms = 59_999;
    expect(add('203.0.113.7')).toBe(1);
    clock.ms = 60_000;
    expect(add('203.0.113.7')).toBe('counted');
    expect(add('203.0.113.7')).toBe(1);
  });

  test('do not lengthen the wait', () => {
    const { clock, add, fill } = counter();
    fill('203.0.113.7');
    for (; clock.ms < 60_000; clock.ms += 500) expect(add('203.0.113.7')).not.toBe('counted');
    expect(add('203.0.113.7')).toBe('counted');
  });

  test.each([
    ['203.0.113.7', '::ffff:203.0.113.7', true],
    ['203.0.113.7', '203.0.113.8', false],
    ['2001:db8:1:2::1', '2001:db8:1:2:ffff::9', true],
    ['2001:db8:1:2::1', '2001:db8:1:3::1', false],
    ['2001:db8:1:2::1', '', false],
  ])('of %s and %s are of one address: %p', (one, other, same) => {
    const { add, fill } = counter();
    fill(one);
    expect(add(other) !== 'counted').toBe(same);
  });

  test('of no known address are counted together', () => {
    const { add, fill } = counter();
    fill('');
    expect(add(undefined)).toBe(60);
  });

  test('of many addresses are kept up to a bound, and no longer than a minute', () => {
    const { clock, keys, add } = counter();
    for (let host = 0; host < 30_000; host++) add(`10.${host >> 16}.${(host >> 8) & 255}.${host & 255}`);
    expect(keys.addressCount).toBe(10_000);
    clock.ms = 60_000;
    add('203.0.113.7');
    expect(keys.addressCount).toBe(1);
  });
});

describe('a caller with wrong keys', () => {
  const RIGHT = 'the-right-key-of-it';
  const as = (key: string) => ({ headers: { authorization: `Bearer ${key}` } });

  test('gets 429 after twenty, with the time to wait, and the right key goes on working', async () => {
    const { app } = createTestApp({
      keys: [keyOf(RIGHT, { workspaceId: null, admin: true, role: 'admin' })],
    });
    const ask = (key: string, remoteAddress = '203.0.113.7') =>
      app.request('/api/v1/templates', as(key), { remoteAddress });
    for (let count = 0; count < MAX_WRONG_KEYS; count++) {
      await problemOf(await ask(`wrong-${count}`), 401, 'unauthorized');
      expect((await ask(RIGHT)).status).toBe(200);
    }
    for (let count = 0; count < 5; count++) {
      const refused = await ask(`wrong-again-${count}`);
      expect(Number(refused.headers.get('retry-after'))).toBeWithin(1, 61);
      await problemOf(refused, 429, 'too_many_requests');
      expect((await ask(RIGHT)).status).toBe(200);
    }
    await problemOf(await ask('wrong', '203.0.113.8'), 401, 'unauthorized');
  });

  test('is not one without a key', async () => {
    const { app } = createTestApp({
      keys: [keyOf(RIGHT, { workspaceId: null, admin: true, role: 'admin' })],
    });
    for (let count = 0; count < 2 * MAX_WRONG_KEYS; count++) {
      const answer = await app.request('/api/v1/templates', {}, { remoteAddress: '203.0.113.7' });
      await problemOf(answer, 401, 'unauthorized');
    }
  });
});
