import { hash } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import type { Clock, Scheduled } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';

/** Slows down whoever tries keys on routes that are marked so (S7), before a key is looked up. */
export interface GuessGuard {
  /**
   * Resolves when the credential may be looked at; every call that resolves is followed by `ended`.
   * @throws GatewayError rate_limited (`too_many_guesses`).
   */
  begin(request: FastifyRequest): Promise<void>;
  ended(request: FastifyRequest, outcome: 'right' | 'wrong' | 'unknown'): void;
}

interface Waiter {
  readonly begin: () => void;
  readonly timer: Scheduled;
}

/** One address. What it got wrong leaks away with time. */
interface Guesser {
  failures: number;
  leakedAtMs: number;
  /** Credentials that are being looked at. */
  pending: number;
  readonly line: Set<Waiter>;
  wake: Scheduled | undefined;
}

/** Failures and looks at once together that an address may have. */
const allowance = 5;
const forgottenAfterMs = 500;
const maxWaitMs = 2500;
const maxLine = 256;
const maxGuessers = 10_000;
const maxKnown = 10_000;

/**
 * A credential that an address shows for the first time is looked at while the address has got few wrong lately; else it waits its turn,
 * which comes with time, and not for long. So a thousand guesses in a moment are ten, one after the other they are two a second, and
 * somebody else behind the same address loses half a second. A credential that was good from there before never waits.
 */
export function createGuessGuard(clock: Clock): GuessGuard {
  const guessers = new Map<string, Guesser>();
  const known = new Set<string>();

  /** The guesser of an address, last in the map: the one that was quiet longest stands first, and goes when there are too many. */
  function guesserOf(address: string): Guesser {
    const guesser = guessers.get(address) ?? {
      failures: 0,
      leakedAtMs: clock.monotonic(),
      pending: 0,
      line: new Set(),
      wake: undefined,
    };
    guessers.delete(address);
    const [quietest] = guessers;
    if (guessers.size >= maxGuessers && quietest !== undefined && quietest[1].pending === 0)
      guessers.delete(quietest[0]);
    guessers.set(address, guesser);
    const forgotten = Math.floor((clock.monotonic() - guesser.leakedAtMs) / forgottenAfterMs);
    guesser.failures = Math.max(0, guesser.failures - forgotten);
    guesser.leakedAtMs += forgotten * forgottenAfterMs;
    return guesser;
  }

  const isFree = ({ failures, pending }: Guesser) => failures + pending < allowance;

  /** Lets in whoever may begin, and comes back when a failure is forgotten. */
  function pump(address: string): void {
    const guesser = guesserOf(address);
    for (const waiter of guesser.line) {
      if (!isFree(guesser)) break;
      guesser.line.delete(waiter);
      guesser.pending++;
      waiter.begin();
    }
    if (guesser.line.size === 0 || guesser.wake !== undefined) return;
    guesser.wake = clock.schedule(forgottenAfterMs, () => {
      guesser.wake = undefined;
      pump(address);
    });
  }

  function wait(address: string, guesser: Guesser): Promise<void> {
    if (guesser.line.size >= maxLine) return Promise.reject(tooMany());
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        begin() {
          waiter.timer.cancel();
          resolve();
        },
        timer: clock.schedule(maxWaitMs, () => {
          guesser.line.delete(waiter);
          reject(tooMany());
        }),
      };
      guesser.line.add(waiter);
      pump(address);
    });
  }

  return {
    async begin(request) {
      const guesser = guesserOf(request.ip);
      if (known.has(credentialOf(request)) || (guesser.line.size === 0 && isFree(guesser))) {
        guesser.pending++;
        return;
      }
      await wait(request.ip, guesser);
    },
    ended(request, outcome) {
      const guesser = guesserOf(request.ip);
      guesser.pending = Math.max(0, guesser.pending - 1);
      const credential = credentialOf(request);
      if (outcome === 'wrong') {
        known.delete(credential); // it may have been good before
        guesser.failures++;
      }
      if (outcome === 'right') {
        const [oldest] = known;
        if (known.size >= maxKnown && oldest !== undefined) known.delete(oldest);
        known.add(credential);
      }
      pump(request.ip);
    },
  };
}

function tooMany(): GatewayError {
  return new GatewayError('rate_limited', 'Too many wrong keys came from this address.', {
    reason: 'too_many_guesses',
    retryAfterMs: maxWaitMs,
  });
}

/** Address and all headers that can carry a credential, as a digest: nothing here can be used as a key. */
function credentialOf({ ip, headers }: FastifyRequest): string {
  const { authorization } = headers;
  const others = ['x-api-key', 'x-goog-api-key', 'api-key', 'x-strata-envelope'].map(name => headers[name]);
  return hash('sha256', JSON.stringify([ip, authorization, ...others]), 'base64');
}
