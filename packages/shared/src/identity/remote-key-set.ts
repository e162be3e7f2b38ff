import { type CryptoKey, importJWK, type JWK } from 'jose';
import * as z from 'zod';
import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import type { Dialer } from '../http/dialer.ts';
import type { Origin } from '../http/origin.ts';
import type { Logger } from '../telemetry/logger.ts';

/** Signature algorithms whose public half may be published (RFC 7518, RFC 8037). Never `none`, never a shared secret. */
export const signatureAlgorithms = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
] as const;
export type SignatureAlgorithm = (typeof signatureAlgorithms)[number];

/** The public keys that somebody publishes as a JWKS (RFC 7517). */
export interface RemoteKeySet {
  /**
   * The key with this id, for this algorithm; undefined when it is not published, even after having looked again. Without an id: the one
   * key that can be meant (RFC 7515 section 4.1.4 leaves `kid` out where there is no choice); undefined where several can.
   * @throws GatewayError overloaded (`issuer_unavailable`) when nothing could be fetched yet.
   */
  find(keyId: string | undefined, algorithm: SignatureAlgorithm): Promise<CryptoKey | undefined>;
}

export interface RemoteKeySetOptions {
  readonly origin: Origin;
  readonly dialer: Dialer;
  readonly clock: Clock;
  readonly log: Logger;
  readonly limits?: Partial<KeySetLimits>;
}

export interface KeySetLimits {
  readonly maxBytes: number;
  readonly maxKeys: number;
  /** For the whole answer. */
  readonly timeoutMs: number;
  /** After this the set is fetched anew, and used until it is there. */
  readonly freshMs: number;
  /** After this a set that cannot be fetched anew is of no use any more. */
  readonly staleMs: number;
  /** At least so long between two fetches, however many unknown keys are asked for. */
  readonly restMs: number;
}

const defaultLimits: KeySetLimits = {
  maxBytes: 64 * 1024,
  maxKeys: 100,
  timeoutMs: 5000,
  freshMs: 10 * 60_000,
  staleMs: 60 * 60_000,
  restMs: 10_000,
};

const keySetSchema = z.object({ keys: z.array(z.record(z.string(), z.unknown())) });

export function createRemoteKeySet(options: RemoteKeySetOptions): RemoteKeySet {
  const { origin, clock, log } = options;
  const limits = { ...defaultLimits, ...options.limits };
  let published: PublishedKeys | undefined;
  let fetchedAtMs = Number.NEGATIVE_INFINITY;
  let askedAtMs = Number.NEGATIVE_INFINITY;
  let fetching: Promise<void> | undefined;
  let isAway = false;

  const fetchSet = async () => {
    askedAtMs = clock.monotonic();
    try {
      published = new PublishedKeys(await fetchKeys(options, limits));
      fetchedAtMs = clock.monotonic();
      isAway = false;
    } catch (error) {
      isAway = true;
      log.warn({ err: error, keySet: origin.name }, 'published keys cannot be fetched');
      throw error;
    }
  };

  /** One fetch at a time, and no more often than the rest allows. A failure leaves what was there. */
  const refresh = async () => {
    if (fetching === undefined && clock.monotonic() - askedAtMs < limits.restMs) return;
    fetching ??= fetchSet().finally(() => {
      fetching = undefined;
    });
    await fetching.catch((error: unknown) => {
      if (published === undefined) throw unavailable(origin, error);
    });
  };

  return {
    async find(keyId, algorithm) {
      const isFresh = clock.monotonic() - fetchedAtMs <= limits.freshMs;
      const isKnown = published?.has(keyId) === true;
      const refreshed = isFresh && isKnown ? undefined : refresh();
      // Who has a key that is known does not wait again and again for an issuer that was away the last time.
      if (!(isKnown && isAway)) await refreshed;
      if (published === undefined || clock.monotonic() - fetchedAtMs > limits.staleMs) {
        throw unavailable(origin, undefined);
      }
      return published.find(keyId, algorithm);
    },
  };
}

/** The keys of one answer, each imported once for each algorithm. */
class PublishedKeys {
  readonly #keys: readonly JWK[];
  readonly #imported = new Map<string, Promise<CryptoKey | undefined>>();

  constructor(keys: readonly JWK[]) {
    this.#keys = keys;
  }

  has(keyId: string | undefined): boolean {
    return this.#keys.some(({ kid }) => keyId === undefined || kid === keyId);
  }

  /** The only one that can be meant. */
  async find(keyId: string | undefined, algorithm: SignatureAlgorithm): Promise<CryptoKey | undefined> {
    const candidates = this.#keys
      .map((jwk, index) => ({ jwk, index }))
      .filter(({ jwk }) => keyId === undefined || jwk.kid === keyId);
    const keys = await Promise.all(candidates.map(({ jwk, index }) => this.#import(jwk, index, algorithm)));
    const [found, ...others] = keys.filter(key => key !== undefined);
    return others.length === 0 ? found : undefined;
  }

  #import(jwk: JWK, index: number, algorithm: SignatureAlgorithm): Promise<CryptoKey | undefined> {
    const name = `${algorithm} ${index}`;
    const known = this.#imported.get(name) ?? toPublicKey(jwk, algorithm);
    this.#imported.set(name, known);
    return known;
  }
}

async function fetchKeys({ origin, dialer }: RemoteKeySetOptions, limits: KeySetLimits): Promise<JWK[]> {
  const { timeoutMs } = limits;
  const answer = await dialer.request(origin, {
    method: 'GET',
    path: '',
    headers: { accept: 'application/jwk-set+json, application/json', 'accept-encoding': 'identity' },
    signal: new AbortController().signal,
    timeouts: { headersMs: timeoutMs, bodyMs: timeoutMs, totalMs: timeoutMs },
  });
  const bytes = await answer.readAll(limits.maxBytes);
  if (answer.status !== 200) throw new Error(`The key set was answered with status ${answer.status}`);
  const { keys } = keySetSchema.parse(JSON.parse(bytes.toString()));
  const usable = keys.slice(0, limits.maxKeys).filter(isForSignatures);
  return usable.map(jwk => jwk as JWK); // a JWK is what its import accepts
}

function isForSignatures({ kid, kty, use }: Record<string, unknown>): boolean {
  const isNamed = kid === undefined || typeof kid === 'string';
  return isNamed && kty !== 'oct' && (use === undefined || use === 'sig');
}

/** Undefined for a key of another kind: a token does not choose what its signature means. */
async function toPublicKey(jwk: JWK, algorithm: SignatureAlgorithm): Promise<CryptoKey | undefined> {
  if (jwk.alg !== undefined && jwk.alg !== algorithm) return undefined;
  try {
    const { d: _private, ...publicJwk } = jwk;
    const key = await importJWK(publicJwk as JWK, algorithm); // the same without a member
    return key instanceof Uint8Array ? undefined : key;
  } catch {
    return undefined; // whoever published it made a mistake, or the token names an algorithm that the key is not for
  }
}

function unavailable(origin: Origin, cause: unknown): GatewayError {
  return new GatewayError('overloaded', `The keys of '${origin.name}' cannot be fetched right now.`, {
    reason: 'issuer_unavailable',
    retryAfterMs: 5000,
    cause,
  });
}
