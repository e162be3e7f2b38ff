import { createHmac, createSecretKey, hkdfSync, type KeyObject } from 'node:crypto';
import { canonicalJson, type JsonValue } from '../json/canonical-json.ts';
import type { Secret } from '../secret.ts';

/** What only the installation can compute: whoever can write the tables, and nothing else, can forge none of it. */
export interface AuditKeys {
  /** Marks an entry as written by the installation. `hash` and the result are hexadecimal. */
  seal(tenant: string, hash: string): string;
  /** Stands in a record for a value: equal values of one tenant are equal, and nobody can try values out. */
  commit(tenant: string, name: string, value: JsonValue): string;
}

const keyBytes = 32;
const maxCachedTenants = 10_000;

/** Derives two keys for each tenant from the pepper (RFC 5869), so that replicas that share the pepper agree. */
export function createAuditKeys(pepper: Secret): AuditKeys {
  const derived = new Map<string, KeyObject>();
  const keyOf = (purpose: string, tenant: string): KeyObject => {
    const info = `strata/audit/${purpose}/${tenant}`;
    const known = derived.get(info);
    if (known !== undefined) return known;
    if (derived.size >= maxCachedTenants) derived.clear();
    // As a key object: from bytes, each HMAC would take six times as long.
    const key = createSecretKey(Buffer.from(hkdfSync('sha256', pepper.reveal(), '', info, keyBytes)));
    derived.set(info, key);
    return key;
  };
  return {
    seal: (tenant, hash) => createHmac('sha256', keyOf('seal', tenant)).update(hash).digest('hex'),
    commit: (tenant, name, value) =>
      `hmac-sha256:${createHmac('sha256', keyOf('value', tenant))
        .update(canonicalJson([name, value]))
        .digest('hex')}`,
  };
}
