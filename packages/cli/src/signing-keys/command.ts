import { installationTenant } from '@strata/shared/audit/audit-record.ts';
import { systemClock } from '@strata/shared/clock.ts';
import { listSigningKeys, retireSigningKey, type SigningKey } from '@strata/shared/identity/signing-keys.ts';
import { loadSharedConfig, withAuditedStore, withSqlStore } from '@strata/shared/with-key-store.ts';
import { tellNothing } from '../tell-nothing.ts';

/** `strata signing-keys`: one line a key: id, gateway, since when, state. */
export async function showSigningKeys(): Promise<void> {
  await withSqlStore(loadSharedConfig(), async sql => {
    const signing = await listSigningKeys(sql);
    if (signing.length === 0) await tellNothing(sql, { what: 'signing key', tenant: undefined });
    for (const key of signing) process.stdout.write(line(key));
  });
}

/** `strata signing-keys retire ID`: no envelope that it signed is accepted any more, anywhere, within a second. */
export async function retireKey(id: string): Promise<void> {
  const retired = await withAuditedStore(loadSharedConfig(), (sql, audited) => {
    const entry = audited('signing_key.retire', () => ({ type: 'signing_key', id }));
    return retireSigningKey({ sql, clock: systemClock }, id, {
      record: transaction => entry.record(transaction, { tenant: installationTenant }),
    });
  });
  process.stderr.write(
    `Signing key ${id} is retired. Remove secrets/${retired.gateway}-envelope.jwk from the data_dir of the gateway that has it, and start that gateway again.\n`,
  );
}

function line({ id, gateway, createdAtMs, retiredAtMs }: SigningKey): string {
  const state = retiredAtMs === undefined ? 'in use' : `retired ${new Date(retiredAtMs).toISOString()}`;
  return `${[id, gateway, new Date(createdAtMs).toISOString(), state].join('\t')}\n`;
}
