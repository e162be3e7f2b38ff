import { CompactSign, compactVerify, decodeProtectedHeader } from 'jose';
import type { Kysely } from 'kysely';
import * as z from 'zod';
import type { Clock } from '../clock.ts';
import type { EnvelopeKeys } from '../identity/envelope-keys.ts';
import { canonicalJson } from '../json/canonical-json.ts';
import type { ChainEnd } from './append.ts';
import type { AuditSchema } from './audit-schema.ts';

/** The signed statement of a gateway: at this moment the chain ended with this entry. */
export interface Checkpoint extends ChainEnd {
  readonly atMs: number;
  /** Compact JWS, EdDSA. Kept elsewhere it proves later that nothing was cut off. */
  readonly token: string;
}

const tokenType = 'strata-audit-checkpoint';

const payloadSchema = z.object({
  tenant: z.string(),
  seq: z.int().positive(),
  hash: z.string(),
  at_ms: z.int(),
});

/** Signs where the chain of a tenant ends now. Undefined when there is nothing new to sign. */
export async function writeCheckpoint(
  deps: { readonly db: Kysely<AuditSchema>; readonly keys: EnvelopeKeys; readonly clock: Clock },
  tenant: string,
): Promise<Checkpoint | undefined> {
  const { db, keys, clock } = deps;
  const head = await db
    .selectFrom('audit_heads')
    .select(['tenant', 'seq', 'hash'])
    .where('tenant', '=', tenant)
    .where('seq', '>', 0)
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('audit_checkpoints')
            .select('audit_checkpoints.seq')
            .whereRef('audit_checkpoints.tenant', '=', 'audit_heads.tenant')
            .whereRef('audit_checkpoints.seq', '=', 'audit_heads.seq'),
        ),
      ),
    )
    .executeTakeFirst();
  if (head === undefined) return undefined;
  const atMs = clock.now();
  const token = await sign(keys, { ...head, atMs });
  await db
    .insertInto('audit_checkpoints')
    .values({ tenant, seq: head.seq, at_ms: atMs, token })
    .onConflict(conflict => conflict.columns(['tenant', 'seq']).doNothing())
    .execute();
  return { ...head, atMs, token };
}

async function sign(keys: EnvelopeKeys, { tenant, seq, hash, atMs }: ChainEnd & { atMs: number }) {
  const { keyId, privateKey } = await keys.signingKey();
  const payload = canonicalJson({ tenant, seq, hash, at_ms: atMs });
  return new CompactSign(Buffer.from(payload))
    .setProtectedHeader({ alg: 'EdDSA', typ: tokenType, kid: keyId })
    .sign(privateKey);
}

/** What the token says; undefined when no gateway of this installation has signed it. */
export async function readCheckpoint(
  keys: Pick<EnvelopeKeys, 'publicKey'>,
  token: string,
): Promise<Checkpoint | undefined> {
  try {
    const { kid, typ } = decodeProtectedHeader(token);
    const key = kid === undefined || typ !== tokenType ? undefined : await keys.publicKey(kid);
    // Gateways of other installations are trusted to speak for callers, not to vouch for this log.
    if (key === undefined || key.organisations !== undefined) return undefined;
    const { payload } = await compactVerify(token, key.publicKey, { algorithms: ['EdDSA'] });
    const said = payloadSchema.safeParse(JSON.parse(new TextDecoder().decode(payload)));
    if (!said.success) return undefined;
    const { at_ms: atMs, ...head } = said.data;
    return { ...head, atMs, token };
  } catch (error) {
    if (isSignatureError(error)) return undefined;
    throw error;
  }
}

/** jose's errors carry codes; a token that is no JSON or no base64 fails before it. */
function isSignatureError(error: unknown): boolean {
  if (error instanceof TypeError || error instanceof SyntaxError) return true;
  return error instanceof Error && 'code' in error && String(error.code).startsWith('ERR_J');
}
