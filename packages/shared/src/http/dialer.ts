import { readFileSync } from 'node:fs';
import { BlockList, isIPv4, type Socket } from 'node:net';
import type { Readable } from 'node:stream';
import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import type { StopSignal } from '../resilience/stop-signal.ts';
import type { AddressPolicy } from './address-guard.ts';
import { type Connect, createConnect } from './connect.ts';
import { ConnectionPool } from './connection-pool.ts';
import { toDialError } from './dial-errors.ts';
import type { DialResponse } from './dial-response.ts';
import { type ExchangeOptions, exchange, type PhaseTimeouts } from './exchange.ts';
import type { NetworkConfig } from './network-section.ts';
import { joinBase, type Origin, requireDialable } from './origin.ts';
import { createResolver, createServerLookup, type Resolve, systemLookup } from './resolve.ts';

export type { DialResponse } from './dial-response.ts';
export type { PhaseTimeouts } from './exchange.ts';
export type { Origin } from './origin.ts';

export interface DialRequest {
  readonly method: string;
  /** Appended to the base path of the origin, with its query. Begins with a slash, or is empty for the base itself. */
  readonly path: string;
  /** Frozen ones are looked through once: give the same object again where they stay the same. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body?: Uint8Array | string | Readable | null | undefined;
  /** Of a body that is a stream, where that is known. Without it the body goes out in chunks. */
  readonly bodyBytes?: number | undefined;
  /** Ends the call in whatever phase it is; the call then fails with the signal's reason. */
  readonly signal: StopSignal;
  readonly timeouts?: Partial<PhaseTimeouts>;
}

/**
 * The only way out of a gateway (S-3). Whatever is dialled is resolved once, every address is checked, and the connection
 * goes to the address that was checked. Redirects are answers, not instructions. Nothing is retried or cached here. Answers are
 * asked for as they are; one that is compressed all the same is read, and refused where that is not possible within bounds (F32).
 */
export interface Dialer {
  /** @throws GatewayError: see `toDialError` and `exchange`; `destination_not_allowed`, `path_not_allowed`. */
  request(origin: Origin, request: DialRequest): Promise<DialResponse>;
  /**
   * A connection of its own to the origin, over TLS where the address says so, for what leaves HTTP.
   *
   * @throws GatewayError as `request` does.
   */
  connect(origin: Origin, options: { readonly signal: StopSignal }): Promise<Socket>;
  /** Cuts what is open. */
  close(): Promise<void>;
}

/** What is fixed about an origin from its first use on: changing the object afterwards changes nothing. */
interface Target {
  readonly address: string;
  readonly basePath: string;
  readonly policy: AddressPolicy;
  readonly poolKey: string;
  pool: ConnectionPool | undefined;
}

/** Set by the connection itself; a caller that sets them would contradict it. */
const ownHeaders = new Set([
  'host',
  'connection',
  'content-length',
  'transfer-encoding',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'upgrade',
  'expect',
]);

export function createDialer(options: { config: NetworkConfig; clock: Clock; lookUp?: Resolve }): Dialer {
  const { config, clock } = options;
  const allowedNetworks = networkList(config.allow_private_networks);
  const extraCa = config.tls_ca_file === undefined ? undefined : readFileSync(config.tls_ca_file, 'utf8');
  const resolve = createResolver({
    clock,
    timeoutMs: config.dns.timeout_ms,
    freshMs: config.dns.fresh_ms,
    staleMs: config.dns.stale_ms,
    lookUp: options.lookUp ?? lookupOf(config),
  });
  const targets = new WeakMap<Origin, Target>();
  const pools = new Map<string, ConnectionPool>();
  const sockets = new Set<Socket>();
  let isClosed = false;

  function targetOf(origin: Origin): Target {
    const known = targets.get(origin);
    if (known !== undefined) return known;
    const { allowPrivate, allowMetadata = false } = origin;
    const policy = { allowPrivate, allowMetadata, allowedNetworks };
    requireDialable(origin, policy);
    const address = origin.url.origin;
    const target = {
      address,
      basePath: origin.url.pathname.replace(/\/+$/, ''),
      policy,
      poolKey: `${address} ${allowPrivate} ${allowMetadata}`,
      pool: undefined,
    };
    targets.set(origin, target);
    return target;
  }

  function poolOf(origin: Origin, target: Target): ConnectionPool {
    if (target.pool !== undefined && !target.pool.isClosed) return target.pool;
    if (isClosed) throw closed();
    const { poolKey, policy } = target;
    const pool = pools.get(poolKey) ?? openPool(origin.name, target.address, policy);
    if (!pools.has(poolKey)) makeRoom(pools, config.max_origins);
    pools.set(poolKey, pool);
    target.pool = pool;
    return pool;
  }

  function openPool(name: string, address: string, policy: AddressPolicy): ConnectionPool {
    return new ConnectionPool({
      name,
      origin: address,
      connect: createConnect({ originName: name, policy, resolve, extraCa }),
      clock,
      maxConnections: config.max_connections_per_origin,
      maxWaiting: config.max_waiting_per_origin,
      connectTimeoutMs: config.connect_timeout_ms,
      keepAliveMs: config.keep_alive_ms,
      maxHeaderBytes: config.max_response_header_bytes,
    });
  }

  function exchangeOf(origin: Origin, request: DialRequest): ExchangeOptions {
    const { method, body = null, signal, timeouts } = request;
    signal.throwIfAborted();
    const target = targetOf(origin);
    const path = joinBase(target.basePath, request.path);
    const known = knownHeaders(request.headers);
    const { bodyBytes } = request;
    const headers = bodyBytes === undefined ? known : { ...known, 'content-length': String(bodyBytes) };
    return {
      originName: origin.name,
      pool: poolOf(origin, target),
      dispatch: { method, path, headers, body },
      signal,
      timeouts: timeouts === undefined ? defaults : timeoutsOf(timeouts),
      clock,
    };
  }

  /** Written out: a spread costs a short request more. */
  function timeoutsOf({ headersMs, bodyMs, totalMs }: Partial<PhaseTimeouts>): PhaseTimeouts {
    return {
      headersMs: headersMs ?? defaults.headersMs,
      bodyMs: bodyMs ?? defaults.bodyMs,
      totalMs: totalMs ?? defaults.totalMs,
    };
  }

  const defaults: PhaseTimeouts = {
    headersMs: config.headers_timeout_ms,
    bodyMs: config.body_idle_timeout_ms,
    totalMs: 0,
  };

  return {
    request(origin, request) {
      try {
        return exchange(exchangeOf(origin, request));
      } catch (error) {
        return Promise.reject(error);
      }
    },
    async connect(origin, { signal }) {
      signal.throwIfAborted();
      const { policy } = targetOf(origin);
      if (isClosed) throw closed();
      const connect = createConnect({ originName: origin.name, policy, resolve, extraCa });
      const socket = await connected(connect, {
        origin,
        signal,
        clock,
        timeoutMs: config.connect_timeout_ms,
      });
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      return socket;
    },
    async close() {
      isClosed = true;
      for (const socket of sockets) socket.destroy();
      const error = closed();
      await Promise.all([...pools.values()].map(pool => pool.destroy(error)));
      pools.clear();
    },
  };
}

function connected(
  connect: Connect,
  {
    origin,
    signal,
    clock,
    timeoutMs,
  }: { origin: Origin; signal: StopSignal; clock: Clock; timeoutMs: number },
): Promise<Socket> {
  const { protocol, hostname, port } = origin.url;
  return new Promise((resolve, reject) => {
    const host = hostname.replace(/^\[|\]$/g, '');
    const socket = connect({ protocol, hostname: host, port }, (error, ready) => {
      end();
      if (ready === null) reject(toDialError(error, origin.name));
      else resolve(ready);
    });
    const giveUp = (reason: unknown) => {
      end();
      socket.destroy();
      reject(reason);
    };
    const leave = () => giveUp(signal.reason);
    const timer = clock.schedule(timeoutMs, () => giveUp(connectTimeout(origin.name)));
    signal.addEventListener('abort', leave);
    function end(): void {
      timer.cancel();
      signal.removeEventListener('abort', leave);
    }
  });
}

function connectTimeout(originName: string): GatewayError {
  return new GatewayError('timeout', `'${originName}' could not be reached in time.`, {
    reason: 'upstream_connect_timeout',
  });
}

function lookupOf(config: NetworkConfig): Resolve {
  const { servers, timeout_ms: timeoutMs } = config.dns;
  return servers.length === 0 ? systemLookup : createServerLookup({ servers, timeoutMs });
}

function networkList(networks: readonly string[]): BlockList | undefined {
  if (networks.length === 0) return undefined;
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', prefix] = network.split('/');
    list.addSubnet(address, Number(prefix), isIPv4(address) ? 'ipv4' : 'ipv6');
  }
  return list;
}

/** Closes the pool that was not used for longest: among those without a request, else among all, once their requests end. */
function makeRoom(pools: Map<string, ConnectionPool>, maxPools: number): void {
  if (pools.size < maxPools) return;
  const byAge = [...pools].sort(([, left], [, right]) => left.lastUsedMs - right.lastUsedMs);
  const [key, pool] = byAge.find(([, each]) => each.inUse === 0) ?? byAge[0] ?? [];
  if (key === undefined) return;
  pools.delete(key);
  pool?.retire();
}

const frozenHeaders = new WeakMap<DialRequest['headers'], Record<string, string>>();

function knownHeaders(headers: DialRequest['headers']): Record<string, string> {
  if (!Object.isFrozen(headers)) return sendable(headers);
  const known = frozenHeaders.get(headers) ?? sendable(headers);
  frozenHeaders.set(headers, known);
  return known;
}

function sendable(headers: DialRequest['headers']): Record<string, string> {
  const result: Record<string, string> = { 'accept-encoding': 'identity' };
  for (const name in headers) {
    const value = headers[name];
    if (value === undefined) continue;
    const lower = name.toLowerCase();
    if (!ownHeaders.has(lower)) result[lower] = value;
  }
  return result;
}

function closed(): GatewayError {
  return new GatewayError('overloaded', 'The gateway is shutting down.', { reason: 'dialer_closed' });
}
