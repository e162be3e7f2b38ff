import { BlockList, isIP, isIPv4 } from 'node:net';
import { GatewayError } from '../errors/gateway-error.ts';

/** Ranges that no upstream is ever reached at: unspecified, link-local with the metadata services, multicast, reserved. */
const alwaysRefused = blockList([
  ['0.0.0.0', 8],
  ['169.254.0.0', 16],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
  ['100.100.100.200', 32], // a cloud's metadata service inside the shared range
  ['168.63.129.16', 32], // another one's, on a public address
  ['::', 128],
  ['fe80::', 10],
  ['fec0::', 10],
  ['ff00::', 8],
  ['fd00:ec2::', 32], // metadata over IPv6
  ['64:ff9b::', 32], // NAT64: an IPv4 address in disguise
  ['2002::', 16], // 6to4: the same
  ['2001::', 23], // Teredo and other special uses
  ['2001:db8::', 32],
  ['3fff::', 20],
  ['100::', 64],
  ['5f00::', 16],
]);

/** Ranges that an upstream may be reached at only where the configuration says so for that upstream. */
const privateRanges = blockList([
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['::1', 128],
  ['fc00::', 7],
]);

const globalUnicast = blockList([['2000::', 3]]);

function blockList(ranges: readonly (readonly [string, number])[]): BlockList {
  const list = new BlockList();
  for (const [address, prefix] of ranges) list.addSubnet(address, prefix, isIPv4(address) ? 'ipv4' : 'ipv6');
  return list;
}

/** Whether a gateway may connect to an address (S19). IPv4 addresses written as IPv6 are judged as what they are. */
export function isAddressAllowed(address: string, options: { readonly allowPrivate: boolean }): boolean {
  const plain = asIPv4(address) ?? address;
  const family = isIP(plain);
  if (family === 0 || plain.includes('%')) return false;
  const type = family === 4 ? 'ipv4' : 'ipv6';
  if (alwaysRefused.check(plain, type)) return false;
  if (privateRanges.check(plain, type)) return options.allowPrivate;
  return family === 4 || globalUnicast.check(plain, 'ipv6');
}

/** The IPv4 address inside `::ffff:a.b.c.d`, however it is written; also the long deprecated `::a.b.c.d`. */
function asIPv4(address: string): string | undefined {
  if (isIP(address) !== 6) return undefined;
  const dotted = /^::(?:ffff:(?:0:)?)?(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (dotted !== undefined) return dotted;
  const hex = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/i.exec(
    new URL(`http://[${address.split('%')[0]}]`).hostname.slice(1, -1),
  );
  if (hex === null) return undefined;
  const [high, low] = [Number.parseInt(hex[1] ?? '', 16), Number.parseInt(hex[2] ?? '', 16)];
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
}

export function refuseAddress(originName: string): GatewayError {
  return new GatewayError(
    'permission_denied',
    `The address of '${originName}' is private or reserved. Set \`allow_private\` on that upstream if this is intended.`,
    { reason: 'destination_not_allowed' },
  );
}
