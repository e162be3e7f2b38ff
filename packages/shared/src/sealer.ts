import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, randomBytes } from 'node:crypto';
import type { Secret } from './secret.ts';

/** Texts that leave the process or rest in a store, and that only the installation can read or make. */
export interface Sealer {
  /** AES-256-GCM, base64url. What is sealed for one purpose does not open for another. */
  seal(purpose: string, text: string): string;
  /** Undefined for anything that was not sealed for the purpose. */
  open(purpose: string, sealed: string): string | undefined;
}

const algorithm = 'aes-256-gcm';
const keyBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;

export function createSealer(pepper: Secret): Sealer {
  const key = createSecretKey(
    Buffer.from(hkdfSync('sha256', pepper.reveal(), '', 'strata/sealer', keyBytes)),
  );
  return {
    seal(purpose, text) {
      const nonce = randomBytes(nonceBytes);
      const cipher = createCipheriv(algorithm, key, nonce).setAAD(Buffer.from(purpose));
      const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
      return Buffer.concat([nonce, cipher.getAuthTag(), body]).toString('base64url');
    },
    open(purpose, sealed) {
      const bytes = Buffer.from(sealed, 'base64url');
      if (bytes.length < nonceBytes + tagBytes || bytes.toString('base64url') !== sealed) return undefined;
      const tagEnd = nonceBytes + tagBytes;
      const decipher = createDecipheriv(algorithm, key, bytes.subarray(0, nonceBytes))
        .setAAD(Buffer.from(purpose))
        .setAuthTag(bytes.subarray(nonceBytes, tagEnd));
      const text = decipher.update(bytes.subarray(tagEnd));
      try {
        return Buffer.concat([text, decipher.final()]).toString('utf8');
      } catch {
        return undefined; // the only way `final` fails: the tag does not fit
      }
    },
  };
}
