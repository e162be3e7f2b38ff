import { isIP } from 'node:net';
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { expect, test } from 'vitest';
import { type AddressClass, classifyAddress, isAddressAllowed } from './address-guard.ts';

const examples: Readonly<Record<AddressClass, readonly string[]>> = {
  public: [
    ...[
      '1.1.1.1',
      '8.8.8.8',
      '9.255.255.255',
      '11.0.0.0',
      '100.63.255.255',
      '100.128.0.0',
      '126.255.255.255',
    ],
    ...['128.0.0.0', '169.253.255.255', '169.255.0.0', '172.15.255.255', '172.32.0.0', '192.167.255.255'],
    ...['192.169.0.0', '198.17.255.255', '198.20.0.0', '223.255.255.255'],
    ...['2606:4700::1111', '2a00::1', '::ffff:1.1.1.1', '::ffff:101:101', '2001:4860:4860::8888'],
  ],
  private: [
    ...['10.0.0.0', '10.255.255.255', '100.64.0.0', '100.127.255.255', '127.0.0.1', '127.255.255.255'],
    ...['172.16.0.0', '172.31.255.255', '192.168.0.0', '192.168.255.255', '198.18.0.1', '198.19.255.255'],
    ...['::1', 'fc00::', 'fdff:ffff::1', '::ffff:127.0.0.1', '::ffff:7f00:1', '::FFFF:10.0.0.1'],
    ...['64:ff9b::1.1.1.1', '64:ff9b::7f00:1', '64:ff9b:1::1.1.1.1'],
  ],
  metadata: [
    ...['169.254.169.254', '169.254.0.0', '169.254.255.255', '169.254.170.2', '100.100.100.200'],
    ...['168.63.129.16', 'fe80::1', 'febf::1', 'fd00:ec2::254', 'fd00:0ec2:0::0254', 'fd20:ce::254'],
    ...['::ffff:169.254.169.254', '::ffff:a9fe:a9fe', '64:ff9b::a9fe:a9fe', '64:ff9b::169.254.169.254'],
  ],
  never: [
    ...['0.0.0.0', '0.255.255.255', '192.0.0.1', '192.0.0.192', '192.0.2.1', '192.88.99.1', '198.51.100.1'],
    ...['203.0.113.1', '224.0.0.1', '239.255.255.255', '240.0.0.0', '255.255.255.255', '::', 'fec0::1'],
    ...['ff02::1', '2001::1', '2001:db8::1', '2002:7f00:1::', '2002:a9fe:a9fe::', '3fff::1', '100::1'],
    ...['::127.0.0.1', '::ffff:0:127.0.0.1', '5f00::1', '4000::1', '::ffff:0.0.0.0', '64:ff9b::0.0.0.0'],
    ...['fe80::1%eth0', '::1%lo', 'localhost', '', '1.1.1', '127.0.0.1 ', '0x7f.1', '01.1.1.1', '1.1.1.1:80'],
  ],
};

for (const [expected, addresses] of Object.entries(examples)) {
  test.each(addresses)(`[S19] '%s' is ${expected}`, address => {
    expect(classifyAddress(address)).toBe(expected);
  });
}

test('[S19] what may be dialled follows from the class and the policy alone', () => {
  const allowedIn = (policy: Parameters<typeof isAddressAllowed>[1]) =>
    Object.entries(examples)
      .filter(([, addresses]) => addresses.every(address => isAddressAllowed(address, policy)))
      .map(([name]) => name);
  expect(allowedIn({ allowPrivate: false })).toEqual(['public']);
  expect(allowedIn({ allowPrivate: true })).toEqual(['public', 'private']);
  expect(allowedIn({ allowPrivate: true, allowMetadata: true })).toEqual(['public', 'private', 'metadata']);
  expect(examples.metadata.some(each => isAddressAllowed(each, { allowPrivate: true }))).toBe(false);
  expect(examples.private.some(each => isAddressAllowed(each, { allowPrivate: false }))).toBe(false);
});

const anyIPv4 = fc
  .integer({ min: 0, max: 0xffffffff })
  .map(bits => [24, 16, 8, 0].map(by => (bits >>> by) & 255).join('.'));
const anyIPv6 = fc
  .tuple(fc.constantFrom('2', '3', 'f', '0', '6'), fc.ipV6())
  .map(([first, address]) => (isIP(first + address) === 6 ? first + address : address));

test('[S19] no address that another library calls special is ever public', () => {
  fc.assert(
    fc.property(fc.oneof(anyIPv4, anyIPv6), address => {
      if (classifyAddress(address) !== 'public') return;
      expect(ipaddr.process(address).range()).toBe('unicast');
    }),
    { numRuns: 20_000 },
  );
});

test('[S19] every IPv4 address that another library calls ordinary is public', () => {
  const knownToUsAlone = new Set(['168.63.129.16', '100.100.100.200']);
  fc.assert(
    fc.property(anyIPv4, address => {
      if (ipaddr.parse(address).range() !== 'unicast' || knownToUsAlone.has(address)) return;
      expect(classifyAddress(address)).toBe('public');
    }),
    { numRuns: 20_000 },
  );
});

test('[S19] an IPv4 address in IPv6 clothes is judged as what it is, however it is written', () => {
  fc.assert(
    fc.property(anyIPv4, fc.nat({ max: 3 }), (address, form) => {
      const hex = ipaddr.parse(`::ffff:${address}`).toNormalizedString();
      const written = [`::ffff:${address}`, hex, hex.toUpperCase(), `0:0:0:0:0:FFFF:${address}`][form] ?? '';
      expect(classifyAddress(written)).toBe(classifyAddress(address));
    }),
    { numRuns: 5000 },
  );
});
