import { isIP, type LookupFunction } from 'node:net';
import type { Readable } from 'node:stream';
import { buildConnector, Pool } from 'undici';
import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import { isAddressAllowed, refuseAddress } from './address-guard.ts';
import { toDialError } from './dial-errors.ts';
import type { NetworkConfig } from './network-section.ts';
import { createResolver, type Resolve } from './resolve.ts';

/** Where an upstream is. Made from configuration only: no part of it ever comes from a request (A1). */
export interface Origin {
  /** For messages and metrics. */
  readonly name: string;
  /** Scheme, host, port and base path. */
  readonly url: URL;
  /** Whether the upstream may be on a private or loopback address. */
  readonly allowPrivate: boolean;
}

export interface PhaseTimeouts {
  /** From the end of the request to the head of the answer. */
  readonly headersMs: number;
  /** Longest silence inside the answer. */
  readonly bodyMs: number;
}

export interface DialRequest {
  readonly method: string;
  /** Appended to the base path of the origin, with its query. Begins with a slash, or is empty for the base itself. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body?: Uint8Array | string | Readable | null;
  readonly signal: AbortSignal;
  readonly timeouts?: Partial<PhaseTimeouts>;
}

export interface DialResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[]>>;
  /** Must be read to its end or destroyed. Its errors are GatewayErrors. */
  readonly body: Readable;
}

/**
 * The only way out of a gateway (S-3). Whatever is dialled is resolved once, every address is checked, and the connection goes to the address
 * that was checked. Redirects are answers, not instructions. Nothing is decompressed, retried or cached here.
 */
export interface Dialer {
  /** @throws GatewayError: see `toDialError`, and permission_denied (`destination_not_allowed`). */
  request(origin: Origin, request: DialRequest): Promise<DialResponse>;
  close(): Promise<void>;
}

const maxPools = 512;
const maxResponseHeaderBytes = 64 * 1024;
/** Set by the connection itself; a caller that sets them would contradict it. */
const ownHeaders = new Set([
  'host',
  'connection',
  'content-length',
  'transfer-encoding',
  'keep-alive',
  'upgrade',
]);

export function createDialer(options: { config: NetworkConfig; clock: Clock; lookUp?: Resolve }): Dialer {
  const { config, clock } = options;
  const resolve = createResolver({
    clock,
    timeoutMs: config.dns_timeout_ms,
    ...(options.lookUp && { lookUp: options.lookUp }),
  });
  const pools = new Map<string, Pool>();

  function poolOf(origin: Origin): Pool {
    const key = `${origin.url.origin} ${origin.allowPrivate}`;
    const known = pools.get(key);
    if (known !== undefined) return known;
    requireDialable(origin);
    const pool = new Pool(origin.url.origin, {
      connections: config.max_connections_per_origin,
      pipelining: 1,
      keepAliveTimeout: config.keep_alive_ms,
      headersTimeout: config.headers_timeout_ms,
      bodyTimeout: config.body_idle_timeout_ms,
      maxHeaderSize: maxResponseHeaderBytes,
      connect: buildConnector({
        timeout: config.connect_timeout_ms,
        noDelay: true,
        keepAlive: true,
        lookup: checkedLookup(origin, resolve),
      }),
    });
    const [oldestKey, oldest] = pools.entries().next().value ?? [];
    if (pools.size >= maxPools && oldestKey !== undefined) {
      pools.delete(oldestKey);
      void oldest?.close();
    }
    pools.set(key, pool);
    return pool;
  }

  return {
    async request(origin, request) {
      const { method, body, signal, timeouts } = request;
      if (signal.aborted) throw signal.reason;
      try {
        const response = await poolOf(origin).request({
          method: method as 'POST', // undici takes any token and refuses what is none
          path: joinPath(origin.url, request.path),
          headers: sendable(request.headers),
          body: body ?? null,
          signal,
          ...(timeouts?.headersMs !== undefined && { headersTimeout: timeouts.headersMs }),
          ...(timeouts?.bodyMs !== undefined && { bodyTimeout: timeouts.bodyMs }),
        });
        explainBodyErrors(response.body, origin.name, signal);
        return {
          status: response.statusCode,
          headers: response.headers as DialResponse['headers'],
          body: response.body,
        };
      } catch (error) {
        throw signal.aborted ? signal.reason : toDialError(error, origin.name);
      }
    },
    async close() {
      await Promise.all([...pools.values()].map(pool => pool.destroy()));
      pools.clear();
    },
  };
}

/** Address literals never reach a lookup, so they are judged here. */
function requireDialable(origin: Origin): void {
  const { protocol, hostname, username, password } = origin.url;
  if ((protocol !== 'http:' && protocol !== 'https:') || username !== '' || password !== '') {
    throw new GatewayError(
      'permission_denied',
      `The address of '${origin.name}' must be http or https and hold no credentials.`,
      {
        reason: 'destination_not_allowed',
      },
    );
  }
  const literal = hostname.replace(/^\[|\]$/g, '');
  if (isIP(literal) !== 0 && !isAddressAllowed(literal, origin)) throw refuseAddress(origin.name);
}

/** Resolves once and hands the socket only addresses that were checked: between check and use nothing is looked up again. */
function checkedLookup(origin: Origin, resolve: Resolve): LookupFunction {
  return (hostname, lookupOptions, callback) => {
    resolve(hostname).then(
      addresses => {
        // One bad address spoils the name: a name that mixes them is trying something.
        if (addresses.length === 0 || !addresses.every(each => isAddressAllowed(each.address, origin))) {
          callback(refuseAddress(origin.name), '', 0);
          return;
        }
        const [first] = addresses;
        if (lookupOptions.all === true) callback(null, [...addresses]);
        else callback(null, first?.address ?? '', first?.family ?? 4);
      },
      (error: Error) => callback(error, '', 0),
    );
  };
}

/** Base path and path, joined as text that can only ever be a path of this origin (A3, C13). */
export function joinPath(base: URL, path: string): string {
  const pathOnly = path.split('?', 1)[0] ?? '';
  const isClean =
    (path === '' || path.startsWith('/')) && !/[\0-\x20\x7f\\#]/.test(path) && !pathOnly.startsWith('//');
  const climbs = pathOnly.split('/').some(segment => /^(?:\.|%2e){1,2}$/i.test(segment));
  if (!isClean || climbs) {
    throw new GatewayError('invalid_request', `'${path.slice(0, 100)}' cannot be a path.`, {
      reason: 'path_not_allowed',
    });
  }
  return base.pathname.replace(/\/$/, '') + path || '/';
}

function sendable(headers: DialRequest['headers']): Record<string, string> {
  const result: Record<string, string> = { 'accept-encoding': 'identity' };
  for (const [name, value] of Object.entries(headers)) {
    const lower = name.toLowerCase();
    if (value !== undefined && !ownHeaders.has(lower)) result[lower] = value;
  }
  return result;
}

/** Whoever reads the body sees the same errors as whoever waits for its head. */
function explainBodyErrors(body: Readable, originName: string, signal: AbortSignal): void {
  body.on('error', () => {}); // an answer that is thrown away unread must not end the process
  const destroy = body._destroy.bind(body);
  body._destroy = (error, callback) => {
    if (error === null || error === undefined) destroy(error, callback);
    else destroy(signal.aborted ? asError(signal.reason) : toDialError(error, originName), callback);
  };
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
