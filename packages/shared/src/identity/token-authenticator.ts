import { hash } from 'node:crypto';
import { decodeJwt, decodeProtectedHeader, type JWTPayload, jwtVerify } from 'jose';
import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import type { Dialer } from '../http/dialer.ts';
import { createOrigin } from '../http/origin.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Caller } from './caller.ts';
import type { CredentialDirectory } from './credential-directory.ts';
import type { IssuerConfig } from './issuers-section.ts';
import { createRemoteKeySet, type RemoteKeySet, signatureAlgorithms } from './remote-key-set.ts';
import { ClaimRefused, type MappedClaims, mapClaims } from './token-claims.ts';
import type { Standing, TreeStore } from './tree-store.ts';

/** Finds out who calls by the token of an identity provider. */
export interface TokenAuthenticator {
  /** @throws GatewayError unauthenticated (`token_invalid`, `token_expired`, `key_invalid`), overloaded (`issuer_unavailable`). */
  authenticate(token: string): Promise<Caller>;
}

/** Three parts of base64url: a signed JWT in its compact form (RFC 7515 section 3.1). */
export function looksLikeToken(text: string): boolean {
  return /^[\w-]+\.[\w-]+\.[\w-]*$/.test(text);
}

const clockToleranceSeconds = 5;
/** A token that was verified is taken at its word this long, even if its issuer takes the key back meanwhile. */
const verifiedForMs = 60_000;
const maxVerified = 10_000;

interface Issuer {
  readonly config: IssuerConfig;
  readonly keys: RemoteKeySet;
}

interface Verified {
  readonly payload: JWTPayload;
  readonly issuer: Issuer;
  readonly untilMs: number;
  /** One object for as long as the standing is the same one. */
  caller: { readonly of: Standing; readonly value: Caller } | undefined;
}

export function createTokenAuthenticator(options: {
  issuers: readonly IssuerConfig[];
  dialer: Dialer;
  clock: Clock;
  directory: CredentialDirectory;
  tree: TreeStore;
  log: Logger;
}): TokenAuthenticator {
  const { directory, tree, clock } = options;
  const issuers = new Map(
    options.issuers.map((config): [string, Issuer] => [
      config.issuer,
      { config, keys: createRemoteKeySet({ ...options, origin: originOf(config) }) },
    ]),
  );
  const verified = new Map<string, Verified>();

  async function verify(token: string): Promise<Verified> {
    const digest = hash('sha256', token, 'base64'); // of the WHOLE token: headers of two tokens are equal (C5)
    const known = verified.get(digest);
    if (known !== undefined && known.untilMs > clock.now()) return known;
    verified.delete(digest);
    const { payload, issuer } = await verifyToken(token, issuers, clock);
    const endsAtMs = ((payload.exp ?? 0) + clockToleranceSeconds) * 1000;
    const untilMs = Math.min(endsAtMs, clock.now() + verifiedForMs);
    const made: Verified = { payload, issuer, untilMs, caller: undefined };
    if (verified.size >= maxVerified) verified.delete(verified.keys().next().value ?? '');
    verified.set(digest, made);
    return made;
  }

  async function standingOf(mapped: MappedClaims, config: IssuerConfig) {
    const { tenant, principal } = mapped.path;
    const known = await directory.standingOf(tenant, principal);
    if (known !== undefined || !config.makes_principals) return known;
    await tree.plant(mapped.path);
    // The log of changes has not told yet that there is something now.
    return tree.findStanding(tenant, principal);
  }

  return {
    async authenticate(token) {
      const found = await verify(token);
      const mapped = claimsOf(found);
      const standing = await standingOf(mapped, found.issuer.config);
      const endsAtMs = standing?.endsAtMs ?? Number.POSITIVE_INFINITY;
      if (standing === undefined || standing.isStopped || endsAtMs <= clock.now()) {
        throw invalidToken(new Error('The principal is unknown or stopped'));
      }
      if (found.caller?.of !== standing) found.caller = { of: standing, value: callerOf(mapped, standing) };
      return found.caller.value;
    },
  };
}

/** Whoever sent the token had it from its issuer, so which claim is at fault can be told. */
function claimsOf({ payload, issuer }: Verified): MappedClaims {
  try {
    return mapClaims(payload, issuer.config);
  } catch (error) {
    if (!(error instanceof ClaimRefused)) throw error;
    throw new GatewayError(
      'unauthenticated',
      `The token is genuine, but its claim '${error.claim}' is missing or not one that is allowed here.`,
      { reason: 'token_invalid', details: { claim: error.claim }, cause: error },
    );
  }
}

/** Where the tree has the principal, not where the token says: a principal that was moved stays where it is. */
function callerOf(mapped: MappedClaims, standing: Standing): Caller {
  const { tenant, team, project, principal, principalKind } = standing;
  const { scopes, roles, tags } = mapped;
  const path = { tenant, team, project, principal, principalKind };
  return { ...path, keyId: undefined, tags, roles, isAdmin: false, scopes, envelope: undefined };
}

async function verifyToken(
  token: string,
  issuers: ReadonlyMap<string, Issuer>,
  clock: Clock,
): Promise<{ payload: JWTPayload; issuer: Issuer }> {
  try {
    const issuer = issuers.get(decodeJwt(token).iss ?? ''); // only says whose keys to try
    if (issuer === undefined) throw new Error('Unknown issuer');
    const { config, keys } = issuer;
    const { kid, alg, typ } = decodeProtectedHeader(token);
    const algorithm = signatureAlgorithms.find(each => each === alg);
    if (algorithm === undefined || !config.algorithms.includes(algorithm))
      throw new Error('Algorithm refused');
    if (typ !== undefined && !tokenTypes.has(typ.toLowerCase())) throw new Error('Not an access token');
    const key = await keys.find(kid, algorithm);
    if (key === undefined) throw new Error('Unknown signing key');
    const { payload } = await jwtVerify(token, key, {
      algorithms: [algorithm],
      issuer: config.issuer,
      audience: [...config.audiences],
      currentDate: new Date(clock.now()),
      requiredClaims: ['exp'],
      clockTolerance: clockToleranceSeconds,
    });
    return { payload, issuer };
  } catch (error) {
    if (error instanceof GatewayError) throw error;
    throw invalidToken(error);
  }
}

const tokenTypes = new Set(['jwt', 'at+jwt', 'application/at+jwt']);

function invalidToken(cause: unknown): GatewayError {
  const isExpired = cause instanceof Error && 'code' in cause && cause.code === 'ERR_JWT_EXPIRED';
  return new GatewayError(
    'unauthenticated',
    isExpired ? 'The token has expired.' : 'The token is not one that is accepted here.',
    { reason: isExpired ? 'token_expired' : 'token_invalid', cause },
  );
}

function originOf({ issuer, jwks_url: url, allow_private: allowPrivate }: IssuerConfig) {
  return createOrigin({ name: `issuer ${issuer}`, url, allowPrivate });
}
