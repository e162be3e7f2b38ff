import { GatewayError } from '../errors/gateway-error.ts';
import { columnText } from '../stores/column-text.ts';
import type { SqlStore } from '../stores/sql.ts';
import { type IdentityTransaction, type IdentityWriter, writeChange } from './identity-changes.ts';
import type { IdentitySchema } from './identity-schema.ts';

/** Takes the trust in a key back, in every process within a second. What it signed for the audit log before stays good. */
export async function retireSigningKey(
  writer: IdentityWriter,
  keyId: string,
  options: { readonly record?: (transaction: IdentityTransaction, key: SigningKey) => Promise<void> } = {},
): Promise<SigningKey> {
  return writeChange(writer, async transaction => {
    const row = await transaction
      .updateTable('envelope_keys')
      .set({ retired_at_ms: writer.clock.now() })
      .where('key_id', '=', columnText(keyId))
      .where('retired_at_ms', 'is', null)
      .returningAll()
      .executeTakeFirst();
    if (row === undefined)
      throw new GatewayError('not_found', `There is no signing key '${keyId}' in use.`, {
        reason: 'unknown_key',
      });
    const key = signingKeyOf(row);
    await options.record?.(transaction, key);
    return { result: key, changed: [{ tenant: '*', kind: 'signing-key', id: keyId }] };
  });
}

/** A key with which a gateway signs envelopes and checkpoints, without the key itself. */
export interface SigningKey {
  readonly id: string;
  readonly gateway: string;
  readonly createdAtMs: number;
  readonly retiredAtMs: number | undefined;
}

/** All there ever were, oldest first. */
export async function listSigningKeys(sql: SqlStore<IdentitySchema>): Promise<SigningKey[]> {
  const rows = await sql.db
    .selectFrom('envelope_keys')
    .selectAll()
    .orderBy('created_at_ms')
    .orderBy('key_id')
    .execute();
  return rows.map(signingKeyOf);
}

function signingKeyOf(row: IdentitySchema['envelope_keys']): SigningKey {
  const { key_id: id, issuer: gateway, created_at_ms: createdAtMs, retired_at_ms: retiredAtMs } = row;
  return {
    id,
    gateway,
    createdAtMs: Number(createdAtMs),
    retiredAtMs: retiredAtMs === null ? undefined : Number(retiredAtMs),
  };
}
