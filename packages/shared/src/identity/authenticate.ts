import { hash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import type { Authenticate, Caller } from './caller.ts';
import { envelopeHeader } from './envelope.ts';
import type { EnvelopeVerifier } from './envelope-token.ts';
import { looksLikeVirtualKey } from './key-format.ts';
import type { KeyStore, VirtualKey } from './key-store.ts';

export interface AuthenticateOptions {
  readonly keys: KeyStore;
  readonly envelopes: EnvelopeVerifier;
  readonly clock: Clock;
  /** How long a looked-up key may be answered from memory. */
  readonly cacheMs: number;
}

const maxCachedKeys = 10_000;

interface CacheEntry {
  readonly found: Promise<VirtualKey | undefined>;
  readonly goodUntilMs: number;
}

/**
 * Finds out who calls: by the envelope of another gateway, else by a virtual key in any of the headers that official
 * SDKs use. Looked-up keys are kept for a moment, so the store sees one query per key and moment, not one per request.
 */
export function createAuthenticate(options: AuthenticateOptions): Authenticate {
  const { keys, envelopes, clock, cacheMs } = options;
  const cache = new Map<string, CacheEntry>();

  function lookUp(
    cacheKey: string,
    find: () => Promise<VirtualKey | undefined>,
  ): Promise<VirtualKey | undefined> {
    const cached = cache.get(cacheKey);
    if (cached && cached.goodUntilMs > clock.monotonic()) return cached.found;
    cache.delete(cacheKey);
    if (cache.size >= maxCachedKeys) cache.delete(cache.keys().next().value ?? '');
    const found = find();
    cache.set(cacheKey, { found, goodUntilMs: clock.monotonic() + cacheMs });
    found.catch(() => cache.delete(cacheKey)); // a store that failed once must be asked again
    return found;
  }

  async function byEnvelope(token: string): Promise<Caller> {
    const envelope = await envelopes.verify(token);
    const { keyId } = envelope;
    if (keyId !== undefined) {
      const key = await lookUp(`id:${keyId}`, () => keys.findById(keyId));
      requireUsable(key, clock);
    }
    const { tenant, team, project, subject: principal, principalKind, tags, scopes } = envelope;
    const path = { tenant, team, project, principal, principalKind };
    return { ...path, keyId, tags, roles: [], isAdmin: false, scopes, envelope };
  }

  async function byKey(secret: string): Promise<Caller> {
    if (!looksLikeVirtualKey(secret)) throw invalidKey();
    // The cache key is a digest of the WHOLE credential: a prefix would let one caller be taken for another (C5).
    const digest = hash('sha256', secret, 'base64');
    const key = requireUsable(await lookUp(digest, () => keys.findBySecret(secret)), clock);
    const { tenant, team, project, principal, principalKind, tags, roles, isAdmin, scopes } = key;
    const path = { tenant, team, project, principal, principalKind };
    return { ...path, keyId: key.id, tags, roles, isAdmin, scopes, envelope: undefined };
  }

  return headers => {
    const token = headers[envelopeHeader];
    if (typeof token === 'string') return byEnvelope(token);
    const secret = credentialOf(headers);
    if (secret === undefined) {
      return Promise.reject(
        new GatewayError(
          'unauthenticated',
          'No key was sent. Send a Strata key as `Authorization: Bearer sk-strata-…`.',
          {
            reason: 'key_missing',
          },
        ),
      );
    }
    return byKey(secret);
  };
}

/** Bearer (OpenAI and everybody), `x-api-key` (Anthropic), `x-goog-api-key` (Gemini), `api-key` (Azure OpenAI). */
function credentialOf(headers: IncomingHttpHeaders): string | undefined {
  const { authorization } = headers;
  if (authorization !== undefined) {
    const match = /^bearer +([^\s]+)$/i.exec(authorization);
    if (match?.[1] !== undefined) return match[1];
  }
  for (const name of ['x-api-key', 'x-goog-api-key', 'api-key']) {
    const value = headers[name];
    if (typeof value === 'string' && value !== '') return value;
  }
  return undefined;
}

function requireUsable(key: VirtualKey | undefined, clock: Clock): VirtualKey {
  // One answer for unknown, disabled and expired: a caller learns nothing about keys that are not its own.
  if (key === undefined || key.disabledAtMs !== undefined || key.isStoppedAbove) throw invalidKey();
  const endsAtMs = Math.min(
    key.expiresAtMs ?? Number.POSITIVE_INFINITY,
    key.endsAboveAtMs ?? Number.POSITIVE_INFINITY,
  );
  if (endsAtMs <= clock.now()) throw invalidKey();
  return key;
}

function invalidKey(): GatewayError {
  return new GatewayError(
    'unauthenticated',
    'The key is not valid. Check that it is complete, active and made by this installation.',
    {
      reason: 'key_invalid',
    },
  );
}
