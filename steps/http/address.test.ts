import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { cases } from '../../tests/support/core/cases.ts';
import { failureOf } from '../../tests/support/http-peer.ts';
import { isPublicAddress, parseAllowList, permittedAddresses } from './address.ts';

const PUBLIC = [
  '8.8.8.8',
  '1.1.1.1',
  '172.32.0.1',
  '100.128.0.1',
  '2606:4700::1111',
  '2a00:1450:4001:81b::200e',
];

const NOT_PUBLIC = [
  ['loopback', '127.0.0.1'],
  ['loopback, another', '127.255.255.254'],
  ['private 10/8', '10.0.0.1'],
  ['private 172.16/12', '172.31.255.255'],
  ['private 192.168/16', '192.168.1.1'],
  ['cloud metadata', '169.254.169.254'],
  ['Azure host', '168.63.129.16'],
  ['carrier-grade NAT', '100.64.0.1'],
  ['Alibaba metadata', '100.100.100.200'],
  ['unspecified', '0.0.0.0'],
  ['this network', '0.1.2.3'],
  ['benchmarking', '198.18.0.1'],
  ['documentation', '203.0.113.7'],
  ['IETF protocols', '192.0.0.192'],
  ['multicast', '224.0.0.1'],
  ['reserved', '240.0.0.1'],
  ['broadcast', '255.255.255.255'],
  ['IPv6 loopback', '::1'],
  ['IPv6 unspecified', '::'],
  ['IPv4-compatible', '::7f00:1'],
  ['IPv4-compatible of a public address', '::808:808'],
  ['IPv4-mapped loopback', '::ffff:127.0.0.1'],
  ['IPv4-mapped metadata', '::ffff:a9fe:a9fe'],
  ['IPv4-mapped Azure host', '::ffff:168.63.129.16'],
  ['IPv4-translated', '::ffff:0:7f00:1'],
  ['NAT64', '64:ff9b::7f00:1'],
  ['local NAT64', '64:ff9b:1::7f00:1'],
  ['6to4', '2002:7f00:1::'],
  ['Teredo', '2001:0:7f00:1::'],
  ['unique local', 'fd00:ec2::254'],
  ['link-local', 'fe80::1'],
  ['link-local with a zone', 'fe80::1%eth0'],
  ['site-local', 'fec0::1'],
  ['discard', '100::1'],
  ['IPv6 documentation', '2001:db8::1'],
  ['segment routing', '5f00::1'],
  ['IPv6 multicast', 'ff02::1'],
  ['no address at all', 'example.com'],
] as const;

describe('an address', () => {
  test.each(PUBLIC)('%s is public', (address) => {
    expect(isPublicAddress(address)).toBe(true);
  });

  test.each(NOT_PUBLIC)('that is %s (%s) is not public', (_name, address) => {
    expect(isPublicAddress(address)).toBe(false);
  });

  test('is judged the same as its IPv4-mapped form', () => {
    fc.assert(
      fc.property(fc.ipV4(), (address) => isPublicAddress(address) === isPublicAddress(`::ffff:${address}`)),
      cases(100),
    );
  });

  test('is judged the same in every form a URL can write it in', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), (number) => {
        const forms = [`${number}`, `0x${number.toString(16)}`, `0${number.toString(8)}`];
        const hosts = forms.map((form) => new URL(`http://${form}/`).hostname);
        const dotted = [24, 16, 8, 0].map((shift) => (number >>> shift) & 255).join('.');
        return hosts.every((host) => host === dotted);
      }),
      cases(100),
    );
  });
});

describe('the hosts of a URL', () => {
  const addressesOf = (url: string, allow: string[] = [], resolve?: () => Promise<never>) => {
    const { hostname, port } = new URL(url);
    return permittedAddresses(
      { hostname, port: Number(port) || 80, shown: hostname },
      parseAllowList(allow),
      resolve,
    );
  };

  test.each([
    'http://127.0.0.1/',
    'http://2130706433/',
    'http://0x7f.1/',
    'http://017700000001/',
    'http://127.1/',
    'http://0/',
    'http://127.0.0.1./',
    'http://①②⑦.0.0.1/',
    'http://[::1]/',
    'http://[0:0:0:0:0:0:0:1]/',
    'http://[::ffff:127.0.0.1]/',
    'http://[::127.0.0.1]/',
    'http://169.254.169.254/latest/meta-data/',
    'http://[fd00:ec2::254]/',
  ])('are blocked when they are the private literal %s', async (url) => {
    const never = () => Promise.reject(new Error('a literal is not resolved'));
    expect(await failureOf(addressesOf(url, [], never))).toMatchObject({
      code: 'http_blocked_address',
      retryable: false,
    });
  });

  test.each(['http://localhost/', 'http://LOCALHOST/', 'http://localhost./'])(
    'are blocked when %s resolves to loopback, and the message says how to allow it',
    async (url) => {
      const failure = await failureOf(addressesOf(url));
      expect(failure.code).toBe('http_blocked_address');
      expect(failure.message).toMatch(/"localhost\.?"/);
      expect(failure.message).toContain('EXECUTION_ENGINE_HTTP_ALLOW');
    },
  );

  test('are blocked when one address of many is private', async () => {
    const resolve = async () => [
      { address: '8.8.8.8', family: 4 },
      { address: '10.0.0.1', family: 4 },
    ];
    const failure = await failureOf(
      permittedAddresses({ hostname: 'both.example', port: 80, shown: 'both.example' }, [], resolve),
    );
    expect(failure).toMatchObject({
      code: 'http_blocked_address',
      details: { host: 'both.example', address: '10.0.0.1' },
    });
  });

  test('are returned to be pinned when all of them are public', async () => {
    const addresses = [
      { address: '8.8.8.8', family: 4 },
      { address: '2606:4700::1111', family: 6 },
    ];
    expect(
      await permittedAddresses({ hostname: 'dns.example', port: 443, shown: '' }, [], async () => addresses),
    ).toEqual(addresses);
  });
});

describe('the allow list', () => {
  const permits = async (entry: string, host: string, address: string, port = 80) => {
    const resolve = async () => [{ address, family: address.includes(':') ? 6 : 4 }];
    return permittedAddresses({ hostname: host, port, shown: host }, parseAllowList([entry]), resolve).then(
      () => true,
      () => false,
    );
  };

  test.each([
    ['10.0.0.0/8', 'stock.internal', '10.2.3.4', 80, true],
    ['10.0.0.0/8', 'stock.internal', '::ffff:10.2.3.4', 80, true],
    ['10.0.0.0/8', 'stock.internal', '192.168.0.1', 80, false],
    ['10.1.2.3', '10.1.2.3', '10.1.2.3', 80, true],
    ['10.1.2.3', '10.1.2.4', '10.1.2.4', 80, false],
    ['::1', '[::1]', '::1', 80, true],
    ['fd00::/8', 'six.internal', 'fd12::1', 80, true],
    ['[::1]:8080', '[::1]', '::1', 8080, true],
    ['[::1]:8080', '[::1]', '::1', 8081, false],
    ['127.0.0.1:3000', 'localhost', '127.0.0.1', 3000, true],
    ['127.0.0.1:3000', 'localhost', '127.0.0.1', 22, false],
    ['stock.internal', 'stock.internal', '10.2.3.4', 80, true],
    ['Stock.Internal', 'STOCK.internal.', '10.2.3.4', 80, true],
    ['stock.internal', 'evil.stock.internal', '10.2.3.4', 80, false],
    ['stock.internal', 'evilstock.internal', '10.2.3.4', 80, false],
    ['stock.internal:8080', 'stock.internal', '10.2.3.4', 8080, true],
    ['stock.internal:8080', 'stock.internal', '10.2.3.4', 80, false],
    ['*.cluster.local', 'api.cluster.local', '10.2.3.4', 80, true],
    ['*.cluster.local', 'cluster.local', '10.2.3.4', 80, false],
    ['*.cluster.local', 'a.b.cluster.local.', '10.2.3.4', 80, true],
    ['*.cluster.local:8080', 'api.cluster.local', '10.2.3.4', 8080, true],
    ['*.cluster.local:8080', 'api.cluster.local', '10.2.3.4', 80, false],
    ['*.cluster.local', 'cluster.local.evil.test', '10.2.3.4', 80, false],
    ['*.cluster.local', '10.2.3.4', '10.2.3.4', 80, false],
    ['*.cluster.local', 'api.evilcluster.local', '10.2.3.4', 80, false],
  ])('with %s lets %s (%s, port %i) pass: %p', async (entry, host, address, port, expected) => {
    expect(await permits(entry, host, address, port)).toBe(expected);
  });

  test.each([
    '10.0.0.0/33',
    '10.0.0',
    '300.1.1.1',
    'http://stock.internal',
    'a b',
    '',
    'host:0',
    'host:70000',
    '*',
    '*.',
    'a.*.local',
    '*.10',
    '10.0.0.0/8:80',
    'host:',
    'host:80:90',
    '[::1',
  ])('refuses the entry %p and names it', (entry) => {
    expect(() => parseAllowList(['10.0.0.0/8', entry])).toThrow(`"${entry}" is no address`);
  });
});
