import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import type { Secret } from '@strata/shared/secret.ts';

/**
 * Seals what the gateway gives to a client to hold and gets back later (AES-256-GCM, NIST SP 800-38D): nobody else can read
 * it, change it, or use it for something else than it was made for.
 */
export interface Sealer {
  /** `purpose` and `binding` are not in the text; whoever opens it has to name the same. */
  seal(purpose: string, binding: string, value: unknown, expiresAtMs: number): string;
  /** `undefined` when it was not sealed here for this purpose and binding, was changed, or has expired. */
  open(purpose: string, binding: string, sealed: string, nowMs: number): unknown;
}

const version = 1;
const nonceBytes = 12;
const tagBytes = 16;
const maxSealedLength = 64 * 1024;
const algorithm = 'aes-256-gcm';

/** Gateways with the same secret can open what any of them sealed. */
export function createSealer(secret: Secret): Sealer {
  const key = Buffer.from(hkdfSync('sha256', secret.reveal(), '', 'strata mcp-gateway sealed state', 32));
  const context = (purpose: string, binding: string) => Buffer.from(JSON.stringify([purpose, binding]));
  return {
    seal(purpose, binding, value, expiresAtMs) {
      const nonce = randomBytes(nonceBytes);
      const cipher = createCipheriv(algorithm, key, nonce).setAAD(context(purpose, binding));
      const body = Buffer.from(JSON.stringify([expiresAtMs, value]));
      const parts = [Buffer.of(version), nonce, cipher.update(body), cipher.final()];
      return Buffer.concat([...parts, cipher.getAuthTag()]).toString('base64url');
    },
    open(purpose, binding, sealed, nowMs) {
      if (sealed.length > maxSealedLength) return undefined;
      const bytes = Buffer.from(sealed, 'base64url');
      if (bytes.length < 1 + nonceBytes + tagBytes || bytes[0] !== version) return undefined;
      const nonce = bytes.subarray(1, 1 + nonceBytes);
      const decipher = createDecipheriv(algorithm, key, nonce, { authTagLength: tagBytes });
      decipher.setAAD(context(purpose, binding)).setAuthTag(bytes.subarray(-tagBytes));
      try {
        const body = decipher.update(bytes.subarray(1 + nonceBytes, -tagBytes));
        const text = Buffer.concat([body, decipher.final()]).toString();
        const [expiresAtMs, value] = JSON.parse(text) as [number, unknown]; // the tag says we wrote it
        return expiresAtMs > nowMs ? value : undefined;
      } catch {
        return undefined; // not ours: whoever asks decides what that means
      }
    },
  };
}
