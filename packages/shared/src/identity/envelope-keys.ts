import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { type CryptoKey, calculateJwkThumbprint, importJWK, type JSONWebKeySet, type JWK } from 'jose';
import type { Clock } from '../clock.ts';
import type { Secret } from '../secret.ts';
import type { SqlStore } from '../stores/sql.ts';
import { type GatewayName, gatewayNames } from './envelope.ts';
import type { IdentitySchema } from './identity-schema.ts';

/** The signing key of this gateway and the public keys of all gateways that share its store. */
export interface EnvelopeKeys {
  signingKey(): Promise<{ keyId: string; privateKey: CryptoKey }>;
  /** The gateway's key with this id; undefined when no gateway published it. */
  publicKey(keyId: string): Promise<{ issuer: GatewayName; publicKey: CryptoKey } | undefined>;
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
}): Promise<EnvelopeKeys> {
  const { name, sql, clock } = options;
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

  const known = new Map<string, { issuer: GatewayName; publicKey: CryptoKey }>();
  const unknownUntil = new Map<string, number>();

  return {
    signingKey: async () => ({ keyId, privateKey }),
    jwks: async () => ({ keys: [{ ...publicJwk, kid: keyId, use: 'sig', alg: 'EdDSA' }] }),
    async publicKey(wanted) {
      const cached = known.get(wanted);
      if (cached !== undefined) return cached;
      if ((unknownUntil.get(wanted) ?? 0) > clock.monotonic()) return undefined;
      const row = await sql.db
        .selectFrom('envelope_keys')
        .selectAll()
        .where('key_id', '=', wanted)
        .executeTakeFirst();
      const issuer = gatewayNames.find(each => each === row?.issuer);
      if (row === undefined || issuer === undefined) {
        if (unknownUntil.size >= maxUnknownKeys) unknownUntil.clear();
        unknownUntil.set(wanted, clock.monotonic() + unknownKeyRecheckMs);
        return undefined;
      }
      const found = { issuer, publicKey: await importKey(JSON.parse(row.public_jwk) as JWK) }; // written above
      known.set(wanted, found);
      return found;
    },
  };
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
