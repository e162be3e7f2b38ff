import { BlockList, isIP, isIPv4 } from 'node:net';
import { GatewayError } from '../errors/gateway-error.ts';

/**
 * What an address is, as far as dialling it goes (S19):
 * `public` may be dialled; `private` only where the configuration allows it for that upstream; `metadata` (link-local, where
 * clouds hand out credentials) only where it is allowed by that very name; `never` leads to no upstream at all.
 */
export type AddressClass = 'public' | 'private' | 'metadata' | 'never';

/** What an upstream may be reached at beside public addresses. */
export interface AddressPolicy {
  readonly allowPrivate: boolean;
  readonly allowMetadata?: boolean | undefined;
  /** Private networks that every upstream may be on (`network.allow_private_networks`). */
  readonly allowedNetworks?: BlockList | undefined;
}

const metadataRanges = blockList([
  ['169.254.0.0', 16],
  ['100.100.100.200', 32], // a cloud's metadata service inside the shared range
  ['168.63.129.16', 32], // another one's, on a public address
  ['fe80::', 10],
  ['fd00:ec2::', 32],
  ['fd20:ce::', 32],
]);

const neverRanges = blockList([
  ['0.0.0.0', 8], // "this network": on Linux it is loopback
  ['192.0.0.0', 24],
  ['192.0.2.0', 24], // documentation, as 198.51.100/24, 203.0.113/24, 2001:db8::/32 and 3fff::/20
  ['192.88.99.0', 24],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3], // multicast, reserved and broadcast
  ['::', 128],
  ['100::', 64],
  ['2001::', 23], // Teredo and other special uses
  ['2001:db8::', 32],
  ['2002::', 16], // 6to4
  ['3fff::', 20],
  ['5f00::', 16],
  ['fec0::', 10],
  ['ff00::', 8],
]);

const privateRanges = blockList([
  ['10.0.0.0', 8],
  ['100.64.0.0', 10], // shared by carriers' NAT
  ['127.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15], // benchmarks, and the addresses that some local proxies invent for every name
  ['::1', 128],
  ['fc00::', 7],
  ['64:ff9b::', 96], // NAT64: an IPv4 address behind a translator, which is judged as well
  ['64:ff9b:1::', 48],
]);

const globalUnicast = blockList([['2000::', 3]]);

const severity = { public: 0, private: 1, metadata: 2, never: 3 } as const satisfies Record<
  AddressClass,
  number
>;

/** Judges an address in text form. What is not an address, or names a zone (`fe80::1%eth0`), is `never`. */
export function classifyAddress(address: string): AddressClass {
  const family = isIP(address);
  if (family === 4) return classifyIPv4(address);
  if (family === 0 || address.includes('%')) return 'never';
  const groups = groupsOf(address);
  const inner = classifyIPv4(dotted(groups[6], groups[7]));
  if (isMapped(groups)) return inner;
  const outer = classifyIPv6(address);
  return isNat64(groups) && severity[inner] > severity[outer] ? inner : outer;
}

/** Whether a gateway may connect to an address for an upstream with this policy. */
export function isAddressAllowed(address: string, policy: AddressPolicy): boolean {
  switch (classifyAddress(address)) {
    case 'public':
      return true;
    case 'private':
      return (
        policy.allowPrivate ||
        (policy.allowedNetworks?.check(address, isIPv4(address) ? 'ipv4' : 'ipv6') ?? false)
      );
    case 'metadata':
      return policy.allowMetadata === true;
    case 'never':
      return false;
  }
}

export function refuseAddress(originName: string): GatewayError {
  return new GatewayError(
    'permission_denied',
    `The address of '${originName}' is private or reserved. Set \`allow_private\` on that upstream if this is intended.`,
    { reason: 'destination_not_allowed' },
  );
}

function classifyIPv4(address: string): AddressClass {
  if (metadataRanges.check(address, 'ipv4')) return 'metadata';
  if (neverRanges.check(address, 'ipv4')) return 'never';
  return privateRanges.check(address, 'ipv4') ? 'private' : 'public';
}

function classifyIPv6(address: string): AddressClass {
  if (metadataRanges.check(address, 'ipv6')) return 'metadata';
  if (neverRanges.check(address, 'ipv6')) return 'never';
  if (privateRanges.check(address, 'ipv6')) return 'private';
  return globalUnicast.check(address, 'ipv6') ? 'public' : 'never';
}

/** The eight groups of an IPv6 address, however it is written: the URL parser knows all the forms. */
function groupsOf(address: string): readonly number[] {
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0');
  return [...before, ...zeros, ...after].map(group => Number.parseInt(group, 16));
}

/** `::ffff:a.b.c.d`, which the operating system dials as the IPv4 address. */
function isMapped(groups: readonly number[]): boolean {
  return groups.slice(0, 5).every(group => group === 0) && groups[5] === 0xffff;
}

function isNat64(groups: readonly number[]): boolean {
  return groups[0] === 0x64 && groups[1] === 0xff9b;
}

/** The last 32 bits, as an IPv4 address. */
function dotted(high = 0, low = 0): string {
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
}

function blockList(ranges: readonly (readonly [string, number])[]): BlockList {
  const list = new BlockList();
  for (const [address, prefix] of ranges) list.addSubnet(address, prefix, isIPv4(address) ? 'ipv4' : 'ipv6');
  return list;
}
