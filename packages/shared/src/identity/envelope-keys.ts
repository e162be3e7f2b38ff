import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { type CryptoKey, calculateJwkThumbprint, importJWK, type JSONWebKeySet, type JWK } from 'jose';
import type { Clock } from '../clock.ts';
import type { Dialer } from '../http/dialer.ts';
import { createOrigin } from '../http/origin.ts';
import type { Secret } from '../secret.ts';
import type { SqlStore } from '../stores/sql.ts';
import type { Logger } from '../telemetry/logger.ts';
import { type GatewayName, gatewayNames } from './envelope.ts';
import type { IdentitySchema } from './identity-schema.ts';
import type { IdentityConfig } from './identity-section.ts';
import { createRemoteKeySet, type RemoteKeySet } from './remote-key-set.ts';

export interface EnvelopeKey {
  readonly issuer: GatewayName;
  readonly publicKey: CryptoKey;
  /** Globs of the organisations that a gateway of another installation may speak for; one of this installation speaks for all. */
  readonly organisations: readonly string[] | undefined;
}

/** A gateway that shares no store with this one, and where its keys are. */
export interface TrustedGateway {
  readonly gateway: GatewayName;
  readonly organisations: readonly string[];
  readonly keys: RemoteKeySet;
}

/** The signing key of this gateway and the public keys of all gateways that it trusts: those that share its store, and those configured. */
export interface EnvelopeKeys {
  signingKey(): Promise<{ keyId: string; privateKey: CryptoKey }>;
  /** The gateway's key with this id; undefined when no gateway published it. */
  publicKey(keyId: string): Promise<EnvelopeKey | undefined>;
  /** Keys of the store are read anew: one of them was retired. */
  forget(): void;
  /** What this gateway publishes at `/.well-known/jwks.json` (RFC 7517). */
  jwks(): Promise<JSONWebKeySet>;
}

/** An Ed25519 private key as a JWK text. */
export function generateSigningKey(): string {
  const { privateKey } = generateKeyPairSync('ed25519');
  return JSON.stringify(privateKey.export({ format: 'jwk' }));
}

const unknownKeyRecheckMs = 1000;
const maxUnknownKeys = 1000;

/**
 * Publishes this gateway's public key in the shared store and reads the others' from there, once per key: afterwards
 * every envelope is verified without asking anybody.
 */
export async function openEnvelopeKeys(options: {
  name: GatewayName;
  signingKey: Secret;
  sql: SqlStore<IdentitySchema>;
  clock: Clock;
  trusted?: readonly TrustedGateway[];
}): Promise<EnvelopeKeys> {
  const { name, sql, clock, trusted = [] } = options;
  const privateJwk = JSON.parse(options.signingKey.reveal()) as JWK; // written by `generateSigningKey`
  const publicJwk = publicPart(privateJwk);
  const keyId = await calculateJwkThumbprint(publicJwk);
  const privateKey = await importKey(privateJwk);
  await sql.db
    .insertInto('envelope_keys')
    .values({
      key_id: keyId,
      issuer: name,
      public_jwk: JSON.stringify(publicJwk),
      created_at_ms: clock.now(),
    })
    .onConflict(conflict => conflict.column('key_id').doNothing())
    .execute();
  if ((await findStoredKey(sql, keyId))?.isRetired === true)
    throw new Error(
      `The signing key of this gateway was retired. Remove secrets/${name}-envelope.jwk from its data_dir; the next start makes another.`,
    );

  const known = new Map<string, EnvelopeKey>();
  const unknownUntil = new Map<string, number>();

  return {
    signingKey: async () => ({ keyId, privateKey }),
    jwks: async () => ({ keys: [{ ...publicJwk, kid: keyId, use: 'sig', alg: 'EdDSA' }] }),
    async publicKey(wanted) {
      const cached = known.get(wanted);
      if (cached !== undefined) return cached;
      if ((unknownUntil.get(wanted) ?? 0) > clock.monotonic()) return undefined;
      const found = await findStoredKey(sql, wanted);
      if (found === undefined || found.isRetired) {
        const foreign = found === undefined ? await findForeign(trusted, wanted) : undefined;
        if (foreign !== undefined) return foreign; // kept by its key set, which follows what is published
        if (unknownUntil.size >= maxUnknownKeys) unknownUntil.clear();
        unknownUntil.set(wanted, clock.monotonic() + unknownKeyRecheckMs);
        return undefined;
      }
      known.set(wanted, found);
      return found;
    },
    forget: () => known.clear(),
  };
}

/** The key with this id that a gateway of this installation has published in the store. */
export async function findStoredKey(
  sql: SqlStore<IdentitySchema>,
  keyId: string,
): Promise<(EnvelopeKey & { readonly isRetired: boolean }) | undefined> {
  const row = await sql.db
    .selectFrom('envelope_keys')
    .selectAll()
    .where('key_id', '=', keyId)
    .executeTakeFirst();
  const issuer = gatewayNames.find(each => each === row?.issuer);
  if (row === undefined || issuer === undefined) return undefined;
  const publicKey = await importKey(JSON.parse(row.public_jwk) as JWK); // written by `openEnvelopeKeys`
  return { issuer, publicKey, organisations: undefined, isRetired: row.retired_at_ms !== null };
}

async function findForeign(
  trusted: readonly TrustedGateway[],
  keyId: string,
): Promise<EnvelopeKey | undefined> {
  for (const { gateway, organisations, keys } of trusted) {
    // One gateway that is away must not keep the others from being looked at.
    const publicKey = await keys.find(keyId, 'EdDSA').catch(() => undefined);
    if (publicKey !== undefined) return { issuer: gateway, publicKey, organisations };
  }
  return undefined;
}

function publicPart(privateJwk: JWK): JWK {
  const exported = createPublicKey({ key: privateJwk, format: 'jwk' }).export({ format: 'jwk' });
  return exported as JWK; // Node's JWK and jose's are the same shape under two names
}

async function importKey(jwk: JWK): Promise<CryptoKey> {
  const key = await importJWK(jwk, 'EdDSA');
  if (key instanceof Uint8Array) throw new Error('An Ed25519 key was expected');
  return key;
}

/** The key sets of the gateways that the configuration trusts. */
export function trustedGateways(
  config: Pick<IdentityConfig, 'trusted_gateways'>,
  deps: { dialer: Dialer; clock: Clock; log: Logger },
): TrustedGateway[] {
  return config.trusted_gateways.map(
    ({ gateway, organisations, jwks_url: url, allow_private: allowPrivate }) => {
      const origin = createOrigin({ name: `keys of ${gateway}`, url, allowPrivate });
      return { gateway, organisations, keys: createRemoteKeySet({ origin, ...deps }) };
    },
  );
}
