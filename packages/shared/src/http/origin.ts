import { isIP } from 'node:net';
import { GatewayError } from '../errors/gateway-error.ts';
import { type AddressPolicy, isAddressAllowed, refuseAddress } from './address-guard.ts';

/**
 * Where an upstream is. Made from configuration only: no part of it ever comes from a request (A1). What is sent to an origin,
 * its credential above all, can go nowhere else, because the dialer takes the address from here alone (A2).
 */
export interface Origin {
  /** For messages and metrics. */
  readonly name: string;
  /** Scheme, host, port and base path. */
  readonly url: URL;
  /** Whether the upstream may be on a private or loopback address. */
  readonly allowPrivate: boolean;
  /** Whether it may be on a link-local or metadata address, which `allowPrivate` does not include. */
  readonly allowMetadata?: boolean;
}

/**
 * Makes an origin of a configured address. `url` may end in a slash or not.
 * @throws GatewayError invalid_request (`origin_not_allowed`): not http or https, or with credentials, query, fragment,
 * control characters or backslashes. permission_denied (`destination_not_allowed`): an address literal that is refused.
 */
export function createOrigin(options: {
  readonly name: string;
  readonly url: string;
  readonly allowPrivate: boolean;
  readonly allowMetadata?: boolean;
}): Origin {
  const { name, url: text, allowPrivate, allowMetadata = false } = options;
  // The URL parser drops tabs and line ends and turns backslashes round: what an operator reads would not be what is dialled.
  if (!/^https?:\/\/[^/]/i.test(text) || /[\0-\x20\x7f\\]/.test(text) || !URL.canParse(text)) {
    throw notAllowed(name, 'is not a http or https address');
  }
  const origin = Object.freeze({ name, url: new URL(text), allowPrivate, allowMetadata });
  requireDialable(origin, origin);
  return origin;
}

/** The checks that need no name lookup. Address literals never reach a lookup, so they are judged here. */
export function requireDialable(origin: Origin, policy: AddressPolicy): void {
  const { protocol, hostname, username, password, search, hash } = origin.url;
  if (protocol !== 'http:' && protocol !== 'https:') {
    throw notAllowed(origin.name, 'is not a http or https address');
  }
  if (username !== '' || password !== '') throw notAllowed(origin.name, 'holds credentials');
  if (search !== '' || hash !== '') throw notAllowed(origin.name, 'has a query or a fragment');
  const literal = hostname.replace(/^\[|\]$/g, '');
  if (isIP(literal) !== 0 && !isAddressAllowed(literal, policy)) throw refuseAddress(origin.name);
}

/**
 * Base path and path, joined as text that can only ever be a path of this origin (A3, C13). `path` begins with a slash, or is
 * empty for the base itself; it may have a query.
 * @throws GatewayError invalid_request (`path_not_allowed`)
 */
export function joinPath(base: URL, path: string): string {
  return joinBase(base.pathname.replace(/\/$/, ''), path);
}

/** The same for a base path that is known to end without a slash. */
export function joinBase(basePath: string, path: string): string {
  if (path === '') return basePath || '/';
  if (!cleanPath.test(path) || climbs(path)) {
    throw new GatewayError('invalid_request', `'${path.slice(0, 100)}' cannot be a path.`, {
      reason: 'path_not_allowed',
    });
  }
  return basePath + path;
}

/** One slash, not two; no control or non-ASCII characters, backslashes or fragments. */
const cleanPath = /^\/(?!\/)[!-"$-[\]-~]*$/;
const dotSegment = /(?:^|[/\\])(?:\.|%2e){1,2}(?:$|[/\\;])/i;
const hiddenSeparator = /%(?:2f|5c)/gi;

/** Whether a server that decodes once would see a segment that leads upwards: `..`, `%2e%2e`, `..%2f`, `..;`. */
function climbs(path: string): boolean {
  if (!path.includes('.') && !path.includes('%')) return false;
  const end = path.indexOf('?');
  const pathOnly = end === -1 ? path : path.slice(0, end);
  return dotSegment.test(pathOnly.replace(hiddenSeparator, '/'));
}

function notAllowed(name: string, what: string): GatewayError {
  return new GatewayError('invalid_request', `The address of '${name}' ${what}.`, {
    reason: 'origin_not_allowed',
    param: 'url',
  });
}
