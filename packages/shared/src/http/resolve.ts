import { lookup, Resolver } from 'node:dns/promises';
import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';

export interface ResolvedAddress {
  readonly address: string;
  readonly family: 4 | 6;
}

/** All addresses of a name. Rejects when there is no answer; an empty list is an answer. */
export type Resolve = (hostname: string) => Promise<readonly ResolvedAddress[]>;

export interface ResolverOptions {
  readonly clock: Clock;
  /** Longest wait for one lookup. */
  readonly timeoutMs: number;
  /** How long an answer is used without asking again. */
  readonly freshMs: number;
  /** How long a name that was known is still used while lookups fail (F13). */
  readonly staleMs: number;
  readonly lookUp: Resolve;
}

const maxNames = 1000;
/** The operating system resolves a few names at a time; more than this would only wait for each other. */
const maxInFlight = 256;

interface Known {
  readonly addresses: readonly ResolvedAddress[];
  /** When they were last confirmed. */
  readonly atMs: number;
  /** Until when they are used without asking. */
  readonly untilMs: number;
}

/** Resolves names with one lookup in flight a name, a short memory, and an end to every wait. */
export function createResolver(options: ResolverOptions): Resolve {
  const { clock, timeoutMs, freshMs, staleMs, lookUp } = options;
  const known = new Map<string, Known>();
  const inFlight = new Map<string, Promise<readonly ResolvedAddress[]>>();

  function remember(hostname: string, addresses: readonly ResolvedAddress[], atMs: number): void {
    known.delete(hostname);
    if (known.size >= maxNames) known.delete(known.keys().next().value ?? '');
    const untilMs = Math.min(clock.monotonic() + freshMs, atMs + Math.max(freshMs, staleMs));
    known.set(hostname, { addresses, atMs, untilMs });
  }

  async function ask(hostname: string): Promise<readonly ResolvedAddress[]> {
    try {
      const addresses = await inTime(lookUp(hostname), clock, timeoutMs);
      remember(hostname, addresses, clock.monotonic());
      return addresses;
    } catch (error) {
      const last = known.get(hostname);
      if (last !== undefined && clock.monotonic() - last.atMs < staleMs) {
        remember(hostname, last.addresses, last.atMs); // not every connection waits for a name server that is down
        return last.addresses;
      }
      known.delete(hostname);
      if (error instanceof GatewayError) throw error;
      throw unresolved(hostname, error);
    }
  }

  return async hostname => {
    const last = known.get(hostname);
    if (last !== undefined && clock.monotonic() < last.untilMs) return last.addresses;
    const running = inFlight.get(hostname);
    if (running !== undefined) return running;
    if (inFlight.size >= maxInFlight) {
      throw new GatewayError('overloaded', 'Too many names are being resolved at once.', {
        reason: 'upstream_dns_busy',
      });
    }
    const asked = ask(hostname).finally(() => inFlight.delete(hostname));
    inFlight.set(hostname, asked);
    return asked;
  };
}

function inTime<T>(work: Promise<T>, clock: Clock, timeoutMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.schedule(timeoutMs, () => reject(new Error(`No answer in ${timeoutMs} ms`)));
    work.then(resolve, reject).finally(() => timer.cancel());
  });
}

function unresolved(hostname: string, cause: unknown): GatewayError {
  return new GatewayError('upstream_failed', `The name '${hostname}' cannot be resolved.`, {
    reason: 'upstream_dns',
    cause,
  });
}

/** Asks the operating system, which also knows its hosts file and search domains. */
export const systemLookup: Resolve = async hostname => {
  const found = await lookup(hostname, { all: true });
  return found.map(({ address, family }) => ({ address, family: family === 6 ? 6 : 4 }));
};

/** Asks these name servers for A and AAAA records. `localhost` is not a question for them (RFC 6761 section 6.3). */
export function createServerLookup(options: {
  readonly servers: readonly string[];
  readonly timeoutMs: number;
}): Resolve {
  const resolver = new Resolver({ timeout: Math.max(1, Math.ceil(options.timeoutMs / 2)), tries: 2 });
  resolver.setServers([...options.servers]);
  return async hostname => {
    if (/(?:^|\.)localhost\.?$/i.test(hostname)) return systemLookup('localhost');
    const [four, six] = await Promise.allSettled([resolver.resolve4(hostname), resolver.resolve6(hostname)]);
    // One family alone is an answer; that the other one failed must not hide it.
    if (four.status === 'rejected' && six.status === 'rejected') {
      throw isNoData(four.reason) ? six.reason : four.reason;
    }
    return [
      ...(four.status === 'fulfilled' ? four.value : []).map(address => ({ address, family: 4 as const })),
      ...(six.status === 'fulfilled' ? six.value : []).map(address => ({ address, family: 6 as const })),
    ];
  };
}

function isNoData(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENODATA';
}
