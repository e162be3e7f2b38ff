import { lookup } from 'node:dns/promises';
import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';

export interface ResolvedAddress {
  readonly address: string;
  readonly family: 4 | 6;
}

export type Resolve = (hostname: string) => Promise<readonly ResolvedAddress[]>;

const freshMs = 5000;
/** A name that was known is used this much longer while the name server does not answer (F13). */
const staleMs = 60_000;
const maxNames = 1000;

interface Known {
  readonly addresses: readonly ResolvedAddress[];
  readonly atMs: number;
}

/** Name lookups of the operating system, with one in flight a name, a short memory, and an end to every wait. */
export function createResolver(options: { clock: Clock; timeoutMs: number; lookUp?: Resolve }): Resolve {
  const { clock, timeoutMs, lookUp = systemLookup } = options;
  const known = new Map<string, Known>();
  const inFlight = new Map<string, Promise<readonly ResolvedAddress[]>>();

  async function ask(hostname: string): Promise<readonly ResolvedAddress[]> {
    const patience = new AbortController();
    try {
      const late = clock.sleep(timeoutMs, patience.signal).then(() => {
        throw new GatewayError('timeout', `The name '${hostname}' was not resolved in time.`, {
          reason: 'upstream_dns',
        });
      });
      const addresses = await Promise.race([lookUp(hostname), late]);
      if (known.size >= maxNames) known.delete(known.keys().next().value ?? '');
      known.set(hostname, { addresses, atMs: clock.monotonic() });
      return addresses;
    } catch (error) {
      const last = known.get(hostname);
      if (last !== undefined && clock.monotonic() - last.atMs < staleMs) return last.addresses;
      if (error instanceof GatewayError) throw error;
      throw new GatewayError('upstream_failed', `The name '${hostname}' cannot be resolved.`, {
        reason: 'upstream_dns',
        cause: error,
      });
    } finally {
      patience.abort();
    }
  }

  return hostname => {
    const last = known.get(hostname);
    if (last !== undefined && clock.monotonic() - last.atMs < freshMs) return Promise.resolve(last.addresses);
    const running = inFlight.get(hostname);
    if (running !== undefined) return running;
    const asked = ask(hostname).finally(() => inFlight.delete(hostname));
    inFlight.set(hostname, asked);
    return asked;
  };
}

const systemLookup: Resolve = async hostname => {
  const found = await lookup(hostname, { all: true });
  return found.map(({ address, family }) => ({ address, family: family === 6 ? 6 : 4 }));
};
