import { hkdfSync } from 'node:crypto';
import { canonicalJson, type JsonValue } from '../json/canonical-json.ts';
import type { Secret } from '../secret.ts';
import { Hmac } from './hmac.ts';

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
  const derived = { seal: new Map<string, Hmac>(), value: new Map<string, Hmac>() };
  const keyed = (purpose: 'seal' | 'value', tenant: string): Hmac => {
    const ofPurpose = derived[purpose];
    const known = ofPurpose.get(tenant);
    if (known !== undefined) return known;
    if (ofPurpose.size >= maxCachedTenants) ofPurpose.clear();
    const info = `strata/audit/${purpose}/${tenant}`;
    const made = new Hmac(Buffer.from(hkdfSync('sha256', pepper.reveal(), '', info, keyBytes)));
    ofPurpose.set(tenant, made);
    return made;
  };
  return {
    seal: (tenant, hash) => keyed('seal', tenant).hex(hash),
    commit: (tenant, name, value) =>
      `hmac-sha256:${keyed('value', tenant).hex(canonicalJson([name, value]))}`,
  };
}
