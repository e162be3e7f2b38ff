import { hash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import type { Authenticate, Caller } from './caller.ts';
import type { CredentialDirectory, KnownKey } from './credential-directory.ts';
import { type Envelope, envelopeHeader } from './envelope.ts';
import type { EnvelopeVerifier } from './envelope-token.ts';
import type { IdentityWatch } from './identity-watch.ts';
import { looksLikeVirtualKey } from './key-format.ts';
import { type Revocation, runCancelled } from './revocation.ts';
import { looksLikeToken, type TokenAuthenticator } from './token-authenticator.ts';
import type { Standing } from './tree-store.ts';

export interface AuthenticateOptions {
  readonly directory: CredentialDirectory;
  readonly watch: IdentityWatch;
  readonly revocation: Pick<Revocation, 'isRunCancelled'>;
  readonly envelopes: EnvelopeVerifier;
  /** Undefined when no identity provider is configured. */
  readonly tokens: TokenAuthenticator | undefined;
  readonly clock: Clock;
}

/**
 * Finds out who calls: by the envelope of another gateway, else by a virtual key, or the token of an identity provider, in any of the
 * headers that official SDKs use. A known
 * key costs a digest and two look-ups in memory; what is in memory is never older than the log of changes says.
 */
export function createAuthenticate(options: AuthenticateOptions): Authenticate {
  const { directory, watch, revocation, envelopes, tokens, clock } = options;

  async function byEnvelope(token: string): Promise<Caller> {
    await watch.confirm(); // first: a key that signs may have been retired
    const envelope = await envelopes.verify(token);
    const { tenant, subject: principal, keyId, runId } = envelope;
    if (runId !== undefined && revocation.isRunCancelled(tenant, runId)) throw runCancelled();
    if (envelope.isForeign) return callerOf(envelope);
    if (keyId !== undefined) requireUsable(await directory.byId(keyId), clock);
    else requireStanding(await directory.standingOf(tenant, principal), clock);
    return callerOf(envelope);
  }

  function byKey(secret: string): Promise<Caller> | Caller {
    if (!looksLikeVirtualKey(secret)) throw invalidKey();
    const stale = watch.confirm(); // not awaited where there is nothing to wait for, as for most requests
    return stale === undefined ? byDigest(secret) : stale.then(() => byDigest(secret));
  }

  function byDigest(secret: string): Promise<Caller> | Caller {
    // The cache key is a digest of the WHOLE credential: a prefix would let one caller be taken for another (C5).
    const found = directory.bySecret(hash('sha256', secret, 'base64'), secret);
    if (found instanceof Promise) return found.then(known => requireUsable(known, clock).caller);
    return requireUsable(found, clock).caller;
  }

  async function byToken(token: string, authenticator: TokenAuthenticator): Promise<Caller> {
    await watch.confirm();
    return authenticator.authenticate(token);
  }

  function find(headers: IncomingHttpHeaders): Promise<Caller> | Caller {
    const token = headers[envelopeHeader];
    if (typeof token === 'string') return byEnvelope(token);
    const secret = credentialOf(headers);
    if (secret === undefined) throw keyMissing();
    return tokens !== undefined && looksLikeToken(secret) ? byToken(secret, tokens) : byKey(secret);
  }

  return headers => {
    try {
      return Promise.resolve(find(headers));
    } catch (error) {
      return Promise.reject(error);
    }
  };
}

function keyMissing(): GatewayError {
  return new GatewayError(
    'unauthenticated',
    'No key was sent. Send a Strata key as `Authorization: Bearer sk-strata-…`.',
    { reason: 'key_missing' },
  );
}

function callerOf(envelope: Envelope): Caller {
  const { tenant, team, project, subject: principal, principalKind, keyId, tags, scopes } = envelope;
  const path = { tenant, team, project, principal, principalKind };
  return { ...path, keyId, tags, roles: [], isAdmin: false, scopes, envelope };
}

/** Bearer (OpenAI and everybody), the access key id of a signature (AWS), `x-api-key` (Anthropic), `x-goog-api-key` (Gemini), `api-key` (Azure OpenAI). */
function credentialOf(headers: IncomingHttpHeaders): string | undefined {
  const { authorization } = headers;
  if (authorization !== undefined) {
    const match = /^bearer +([^\s]+)$/i.exec(authorization);
    if (match?.[1] !== undefined) return match[1];
    // An AWS SDK sends what it is given for an access key id in clear; its signature could prove no more than that.
    const signed = /^AWS4-HMAC-SHA256 Credential=([^/,\s]+)\//.exec(authorization);
    if (signed?.[1] !== undefined) return signed[1];
  }
  for (const name of ['x-api-key', 'x-goog-api-key', 'api-key']) {
    const value = headers[name];
    if (typeof value === 'string' && value !== '') return value;
  }
  return undefined;
}

/** One answer for unknown, disabled and expired: a caller learns nothing about keys that are not its own. */
function requireUsable(known: KnownKey | undefined, clock: Clock): KnownKey {
  if (known === undefined || known.endsAtMs <= clock.now()) throw invalidKey();
  return known;
}

function requireStanding(standing: Standing | undefined, clock: Clock): void {
  if (standing === undefined) return; // the gateway that signed the envelope answers for whom this store does not know
  const endsAtMs = standing.endsAtMs ?? Number.POSITIVE_INFINITY;
  if (standing.isStopped || endsAtMs <= clock.now()) throw invalidKey();
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
