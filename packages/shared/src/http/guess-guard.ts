import { hash } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';

/** Holds off whoever tries keys on routes that are marked so (S7), before a key is looked up. */
export interface GuessGuard {
  /** Every call is followed by `ended`, unless it throws. @throws GatewayError rate_limited (`too_many_guesses`). */
  begin(request: FastifyRequest): void;
  ended(request: FastifyRequest, outcome: 'right' | 'wrong' | 'unknown'): void;
}

interface Guesser {
  failures: number;
  /** Guesses that are being looked at. */
  pending: number;
  /** Monotonic. */
  blockedUntilMs: number;
}

const freeFailures = 5;
const firstBlockMs = 1000;
const maxBlockMs = 60_000;
/** After so long without a guess an address is like any other. */
const forgetMs = 600_000;
const maxGuessers = 10_000;
const maxKnown = 10_000;

/**
 * After a few failures an address waits before its next guess is looked at, twice as long each time. A credential that was good from
 * that address before is let through all the same, so that guesses by a neighbour behind one proxy lock nobody out.
 */
export function createGuessGuard(clock: Clock): GuessGuard {
  const guessers = new Map<string, Guesser>();
  const known = new Set<string>();

  /** The guesser of an address, last in the map: the address that was quiet longest stands first, and goes when there are too many. */
  const guesserOf = (address: string): Guesser => {
    const nowMs = clock.monotonic();
    const found = guessers.get(address);
    const isFresh = found !== undefined && (found.pending > 0 || found.blockedUntilMs + forgetMs > nowMs);
    const guesser = isFresh ? found : { failures: 0, pending: 0, blockedUntilMs: nowMs };
    guessers.delete(address);
    const [quietest] = guessers.keys();
    if (guessers.size >= maxGuessers && quietest !== undefined) guessers.delete(quietest);
    guessers.set(address, guesser);
    return guesser;
  };

  return {
    begin(request) {
      const guesser = guesserOf(request.ip);
      const waitMs = guesser.blockedUntilMs - clock.monotonic();
      const isCrowded = guesser.failures + guesser.pending >= freeFailures && guesser.pending > 0;
      if ((waitMs > 0 || isCrowded) && !known.has(credentialOf(request)))
        throw new GatewayError('rate_limited', 'Too many wrong keys came from this address.', {
          reason: 'too_many_guesses',
          retryAfterMs: Math.max(waitMs, firstBlockMs),
        });
      guesser.pending++;
    },
    ended(request, outcome) {
      const guesser = guesserOf(request.ip);
      guesser.pending = Math.max(0, guesser.pending - 1);
      const credential = credentialOf(request);
      if (outcome === 'right') {
        const [oldest] = known;
        if (known.size >= maxKnown && oldest !== undefined) known.delete(oldest);
        known.add(credential);
      }
      if (outcome !== 'wrong') return;
      known.delete(credential); // it may have been good before
      guesser.failures++;
      if (guesser.failures < freeFailures) return;
      const blockMs = Math.min(maxBlockMs, firstBlockMs * 2 ** (guesser.failures - freeFailures));
      guesser.blockedUntilMs = clock.monotonic() + blockMs;
    },
  };
}

/** Address and all headers that can carry a credential, as a digest: nothing here can be used as a key. */
function credentialOf({ ip, headers }: FastifyRequest): string {
  const { authorization } = headers;
  const others = ['x-api-key', 'x-goog-api-key', 'api-key', 'x-strata-envelope'].map(name => headers[name]);
  return hash('sha256', JSON.stringify([ip, authorization, ...others]), 'base64');
}
