import { decodeProtectedHeader, type JWTPayload, jwtVerify, SignJWT } from 'jose';
import * as z from 'zod';
import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import { newId } from '../ids.ts';
import {
  type Envelope,
  envelopeLifetimeMs,
  type GatewayName,
  gatewayNames,
  maxEnvelopeDepth,
} from './envelope.ts';
import type { EnvelopeKey, EnvelopeKeys } from './envelope-keys.ts';
import { matchesScope } from './scopes.ts';
import { principalKinds } from './tree.ts';

export interface EnvelopeIssuer {
  /** Signs an envelope for exactly one audience: the next gateway refuses a token made for another. */
  issue(envelope: Omit<Envelope, 'issuer'>, audience: GatewayName): Promise<string>;
}

export interface EnvelopeVerifier {
  /** @throws GatewayError unauthenticated (`envelope_invalid`, `envelope_expired`), timeout (`deadline_passed`). */
  verify(token: string): Promise<Envelope>;
}

const tokenType = 'strata-envelope+jwt';
const patterns = z.array(z.string().max(256)).max(512);

/** A hop adds the workflow that calls and the agent in it. */
const maxActors = 2 * maxEnvelopeDepth;

/** The nested actors as a list, newest first. A chain that is too long is refused: shortened it would hide who began. */
const actSchema = z.unknown().transform((claim, context) => {
  const actors: string[] = [];
  for (let current = claim; current !== undefined; ) {
    if (!isActClaim(current) || actors.length === maxActors) {
      context.addIssue('expected a chain of actors');
      return z.NEVER;
    }
    actors.push(current.sub);
    current = current.act;
  }
  return actors;
});

const claimsSchema = z.object({
  iss: z.enum(gatewayNames),
  aud: z.string(), // one: what is for two gateways could be used at the second by the first
  sub: z.string().min(1),
  tenant: z.string().min(1),
  key: z.string().optional(),
  act: actSchema.optional(),
  team: z.string().min(1),
  project: z.string().min(1),
  principal_kind: z.enum(principalKinds),
  tags: z.array(z.string().max(256)).max(64).default([]),
  scopes: z.object({
    models: patterns,
    servers: patterns,
    tools: patterns,
    agents: patterns,
    workflows: patterns,
  }),
  grant: z.object({ id: z.string().min(1), nano_usd: z.string().regex(/^\d{1,30}$/) }).optional(),
  run: z.string().optional(),
  task: z.string().optional(),
  deadline: z.number().optional(),
  depth: z.number().int().min(0).max(maxEnvelopeDepth),
});

export function createEnvelopeIssuer(options: {
  name: GatewayName;
  keys: EnvelopeKeys;
  clock: Clock;
}): EnvelopeIssuer {
  const { name, keys, clock } = options;
  return {
    async issue(envelope, audience) {
      if (envelope.depth < 0) {
        throw new GatewayError(
          'permission_denied',
          `The call chain is deeper than ${maxEnvelopeDepth} hops.`,
          {
            reason: 'envelope_depth_exhausted',
          },
        );
      }
      const nowSeconds = Math.floor(clock.now() / 1000);
      const signing = await keys.signingKey();
      return new SignJWT(toClaims(envelope))
        .setProtectedHeader({ alg: 'EdDSA', typ: tokenType, kid: signing.keyId })
        .setIssuer(name)
        .setAudience(audience)
        .setSubject(envelope.subject)
        .setJti(newId('env', clock.now()))
        .setIssuedAt(nowSeconds)
        .setExpirationTime(nowSeconds + envelopeLifetimeMs / 1000)
        .sign(signing.privateKey);
    },
  };
}

export function createEnvelopeVerifier(options: {
  audience: GatewayName;
  keys: EnvelopeKeys;
  clock: Clock;
}): EnvelopeVerifier {
  const { audience, keys, clock } = options;
  return {
    async verify(token) {
      const { payload, key } = await verifySignature(token, audience, keys, clock);
      const envelope = fromForeign(fromClaims(payload), key);
      if (envelope.deadlineAtMs !== undefined && envelope.deadlineAtMs <= clock.now()) {
        throw new GatewayError('timeout', 'The deadline of the run has passed.', {
          reason: 'deadline_passed',
        });
      }
      return envelope;
    },
  };
}

async function verifySignature(
  token: string,
  audience: GatewayName,
  keys: EnvelopeKeys,
  clock: Clock,
): Promise<{ payload: JWTPayload; key: EnvelopeKey }> {
  try {
    const { kid } = decodeProtectedHeader(token);
    const key = kid === undefined ? undefined : await keys.publicKey(kid);
    if (key === undefined) throw new Error('Unknown signing key');
    const { payload } = await jwtVerify(token, key.publicKey, {
      algorithms: ['EdDSA'],
      typ: tokenType,
      audience,
      issuer: key.issuer,
      currentDate: new Date(clock.now()),
      requiredClaims: ['exp', 'iat', 'sub', 'jti'],
      maxTokenAge: envelopeLifetimeMs / 1000,
      clockTolerance: 5,
    });
    return { payload, key };
  } catch (error) {
    if (error instanceof GatewayError) throw error;
    const expired = error instanceof Error && 'code' in error && error.code === 'ERR_JWT_EXPIRED';
    throw new GatewayError(
      'unauthenticated',
      expired ? 'The envelope has expired.' : 'The envelope is not valid for this gateway.',
      { reason: expired ? 'envelope_expired' : 'envelope_invalid', cause: error },
    );
  }
}

/** A gateway of another installation speaks for the organisations that the configuration gives it, and for no other. */
function fromForeign(envelope: Envelope, { organisations }: EnvelopeKey): Envelope {
  if (organisations === undefined) return envelope;
  if (matchesScope(organisations, envelope.tenant)) return { ...envelope, isForeign: true };
  throw new GatewayError('unauthenticated', 'The envelope is not valid for this gateway.', {
    reason: 'envelope_invalid',
  });
}

function toClaims(envelope: Omit<Envelope, 'issuer'>): JWTPayload {
  return {
    tenant: envelope.tenant,
    team: envelope.team,
    project: envelope.project,
    principal_kind: envelope.principalKind,
    scopes: envelope.scopes,
    depth: envelope.depth,
    ...(envelope.tags.length > 0 && { tags: envelope.tags }),
    ...(envelope.grant !== undefined && {
      grant: { id: envelope.grant.id, nano_usd: String(envelope.grant.remainingNanoUsd) },
    }),
    ...(envelope.keyId !== undefined && { key: envelope.keyId }),
    ...(envelope.actors.length > 0 && { act: toActClaim(envelope.actors) }),
    ...(envelope.runId !== undefined && { run: envelope.runId }),
    ...(envelope.taskId !== undefined && { task: envelope.taskId }),
    ...(envelope.deadlineAtMs !== undefined && { deadline: envelope.deadlineAtMs }),
  };
}

interface ActClaim {
  sub: string;
  act?: ActClaim;
}

/** RFC 8693 section 4.1: the outermost `act` is the current actor, those before it are nested inside. */
function toActClaim(actors: readonly string[]): ActClaim | undefined {
  return actors.reduceRight<ActClaim | undefined>(
    (inner, sub) => (inner === undefined ? { sub } : { sub, act: inner }),
    undefined,
  );
}

function fromClaims(payload: JWTPayload): Envelope {
  const parsed = claimsSchema.safeParse(payload);
  if (!parsed.success) {
    throw new GatewayError('unauthenticated', 'The envelope lacks a claim or has a malformed one.', {
      reason: 'envelope_invalid',
      cause: parsed.error,
    });
  }
  const claims = parsed.data;
  return {
    issuer: claims.iss,
    tenant: claims.tenant,
    subject: claims.sub,
    keyId: claims.key,
    actors: claims.act ?? [],
    team: claims.team,
    project: claims.project,
    principalKind: claims.principal_kind,
    tags: claims.tags,
    scopes: claims.scopes,
    grant: claims.grant && { id: claims.grant.id, remainingNanoUsd: BigInt(claims.grant.nano_usd) },
    runId: claims.run,
    taskId: claims.task,
    deadlineAtMs: claims.deadline,
    depth: claims.depth,
  };
}

function isActClaim(value: unknown): value is ActClaim {
  return typeof value === 'object' && value !== null && 'sub' in value && typeof value.sub === 'string';
}
